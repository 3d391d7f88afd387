import { connect } from '/sdk/v1/gateway-client.js';
import { Board } from './board.js';
import { Catalog } from './catalog.js';
import { Desk } from './desk.js';
import { announce, byId, clearAlert, el, setText, showAlert, whileBusy } from './dom.js';
import { History } from './history.js';
import { text } from './json.js';
import { Runs } from './runs.js';
import * as session from './session.js';
import { State } from './store.js';
import { Timeline } from './timeline.js';
import { setUpWebhook } from './webhook.js';
import { sentence } from './words.js';

const SECOND_CLICK_MS = 500;
const STREAM_LABELS = {
  connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline', expired: 'Signed out', closed: 'Offline',
};

let config = {};
let active = null; // {user, operates, gateway, state, runs, desk} while someone is signed in

const timeline = new Timeline(byId('timeline'), byId('timeline-empty'), {
  onCancel: (run) => active.desk.cancel(run),
  onRerun: (run, button) => begin(button, (desk) => desk.rerun(run)),
  onFollow: (run) => (active.desk.isFollowing(run) ? active.desk.stopFollowing(run) : active.desk.followAgain(run)),
  onFetch: (run, button) => whileBusy(button, () => active.desk.refresh(run)),
  isFollowing: (run) => Boolean(active?.desk?.isFollowing(run)),
  onSave: () => active.state.save(),
});
const catalog = new Catalog({ onChange: () => active?.state.save() });
const executions = new History({
  onShow: (one) => timeline.reveal(active.desk.show({ executionId: one.id, name: one.path }), { open: true }),
  onRerun: (one, button) => begin(button, (desk) => desk.rerun({ executionId: one.id, name: one.path })),
});
const board = new Board({ onRun: (button) => begin(button, (desk) => desk.start('demo/board', {})) });

function setView(view) {
  document.body.dataset.view = view;
  for (const node of document.querySelectorAll('[data-when]')) node.hidden = node.dataset.when !== view;
}

function showStream(state) {
  byId('stream-status').dataset.state = state;
  setText(byId('stream-text'), STREAM_LABELS[state] ?? state);
}

function refreshRun() {
  const connected = Boolean(active?.gateway.clientId);
  const ready = connected && Boolean(catalog.selected);
  byId('run').disabled = !ready;
  byId('board-run').disabled = !connected;
  setText(byId('run-hint'), active && catalog.selected && !connected ? 'Waiting for the event stream…' : '');
}

/** A session that is over ends the view, anything else is told. */
function fail(cause, what) {
  if (cause.name === 'ExpiredError') endSession();
  else showAlert(what ? `${what}: ${sentence(cause)}` : sentence(cause));
}

async function loadCatalog() {
  const mine = active;
  if (!mine) return;
  await whileBusy(byId('catalog-refresh'), async () => {
    try {
      await catalog.load(mine.gateway);
    } catch (cause) {
      if (active === mine) fail(cause, 'The playbooks cannot be listed');
    }
  });
  refreshRun();
}

/** Starts a run from one of the buttons that do so. */
async function begin(button, work) {
  const mine = active;
  if (!mine) return;
  clearAlert();
  const label = button.textContent;
  setText(button, 'Starting…');
  // The second click of a double click must not start a second run.
  const secondClick = new Promise((resolve) => { setTimeout(resolve, SECOND_CLICK_MS); });
  await whileBusy(button, () => Promise.all([work(mine.desk), secondClick]));
  setText(button, label);
  refreshRun();
  // The new card was scrolled to; the focus must not scroll back.
  if (active === mine && button.isConnected) button.focus({ preventScroll: true });
}

async function run(event) {
  event.preventDefault();
  if (!active || byId('run').disabled) return;
  const variables = catalog.read();
  if (variables === null) {
    clearAlert();
    catalog.focusVariables();
    return;
  }
  active.state.save();
  const from = document.activeElement;
  await begin(byId('run'), (desk) => desk.start(catalog.selected, variables));
  // Who ran it by a key goes on writing.
  if (from?.id === 'variables') from.focus({ preventScroll: true });
}

/** What the library tells of the stream. */
function listen(mine) {
  const { gateway, desk } = mine;
  const on = (name, then) => gateway.on(name, (value) => { if (active === mine) then(value); });
  let connected = false;
  on('state', (value) => {
    showStream(value);
    refreshRun();
    board.connection(value === 'live');
    // What ended while there was no connection must not look as if it ran.
    if (value === 'live' && connected) desk.refreshAll();
    connected ||= value === 'live';
  });
  on('gap', () => {
    showAlert('You were offline for longer than events are kept: some are missing from the timeline below.', 'info');
    board.gap();
    desk.refreshAll();
  });
  on('expired', endSession);
  showStream(gateway.state);
  gateway.ready.then(() => {
    if (active !== mine) return;
    connected = true;
    showStream(gateway.state);
    refreshRun();
    const sources = gateway.capabilities?.subscriptionSources ?? [];
    if (config.sandbox && sources.includes('kv')) board.begin(gateway);
  }, () => {});
}

function enter(me) {
  const { user } = me;
  const id = text(user.user_id) || text(user.email);
  const state = new State(id);
  const gateway = connect({ cookie: true, renew: () => renew(id) });
  const runs = new Runs(state.savedRuns, {
    onChange: (one) => {
      timeline.show(one);
      executions.note(one);
      state.save();
    },
    onRemove: (one) => {
      active?.desk.forget(one);
      timeline.remove(one);
      state.save();
    },
  });
  active = { user, operates: Boolean(me.operator), gateway, state, runs, desk: null };
  active.desk = new Desk(gateway, runs, {
    onStart: (one) => timeline.reveal(one),
    onError: fail,
  });
  state.bind(() => runs.all(), () => catalog.saved());
  catalog.restore(state.savedForm);
  timeline.restore(runs.all());
  const name = text(user.display_name);
  const email = text(user.email);
  byId('user').replaceChildren(
    el('span', { class: 'visually-hidden' }, 'Signed in as '), el('strong', {}, name || email), name && email ? ` ${email}` : '');
  byId('roles').replaceChildren(...(Array.isArray(user.roles) ? user.roles : []).map((role) => el('li', {}, text(role))));
  byId('operator-item').hidden = !(config.operator && active.operates);
  setView('signed-in');
  refreshRun();
  listen(active);
  loadCatalog();
  executions.begin(gateway);
}

/** The session has expired: in another tab the same person may have signed in again. */
async function renew(id) {
  const me = await session.whoAmI().catch(() => null);
  return me !== null && (text(me.user.user_id) || text(me.user.email)) === id;
}

function leave() {
  const left = active;
  active = null;
  left.desk.leave();
  board.leave();
  executions.leave();
  for (const one of left.runs.all()) timeline.remove(one);
  showStream('offline');
  setView('signed-out');
  byId('sign-in').focus();
  return left;
}

/** The session is over but the person is the same: the timeline is kept for the next sign-in. */
function endSession() {
  if (!active) return;
  active.state.flush();
  leave();
  showAlert('Your session has ended. Sign in again to go on; your timeline is kept.');
}

async function signOut() {
  clearAlert();
  const { gateway, state } = leave();
  // What the library keeps goes first: the end of the session reaches it from the stream, too.
  gateway.close();
  state.clear();
  try {
    await session.signOut();
    announce('Signed out');
  } catch (cause) {
    showAlert(`The gateway could not be told that you sign out: ${sentence(cause)}`);
  }
}

async function signIn() {
  clearAlert();
  byId('sign-in').disabled = true;
  try {
    await session.signIn();
  } catch (cause) {
    showAlert(cause.message);
    byId('sign-in').disabled = false;
  }
}

/** On a narrow screen what the header has to offer is behind a button. */
function setUpMenu() {
  const toggle = byId('menu-toggle');
  const open = (value) => {
    toggle.setAttribute('aria-expanded', String(value));
    byId('menu').dataset.open = String(value);
  };
  toggle.addEventListener('click', () => open(toggle.getAttribute('aria-expanded') !== 'true'));
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || toggle.getAttribute('aria-expanded') !== 'true') return;
    open(false);
    toggle.focus();
  });
  byId('menu').addEventListener('click', (event) => { if (event.target.closest('a, button')) open(false); });
}

async function boot() {
  setUpMenu();
  byId('alert-close').addEventListener('click', clearAlert);
  byId('sign-in').addEventListener('click', signIn);
  byId('sign-out').addEventListener('click', signOut);
  byId('run-form').addEventListener('submit', run);
  byId('catalog-refresh').addEventListener('click', loadCatalog);
  // Whoever signs in again in another tab is signed in here too.
  document.addEventListener('visibilitychange', async () => {
    if (document.visibilityState !== 'visible' || active) return;
    if (await session.whoAmI().catch(() => null)) location.reload();
  });
  window.addEventListener('pagehide', () => active?.state.flush());
  // Back from the back/forward cache with a dead connection: take the ordinary way in.
  window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

  let me = null;
  try {
    config = await session.getJSON('/console/config.json');
    me = await session.whoAmI();
  } catch (cause) {
    setView('signed-out');
    showAlert(`${cause.message} Reload the page to try again.`);
    return;
  }
  setText(byId('version'), text(config.version));
  byId('sandbox-banner').hidden = !config.sandbox;
  byId('demo-accounts').hidden = !config.sandbox;
  if (config.operator) byId('operator-link').href = config.operator;
  if (config.webhook) {
    setUpWebhook(config.webhook, {
      onTaken: (executionId) => active?.desk.show({ executionId, name: config.webhook.playbook ?? '' }),
      deliveriesPath: () => (config.operator && active?.operates ? config.operator + 'deliveries' : ''),
    });
  }
  if (me) enter(me);
  else setView('signed-out');
}

boot();
