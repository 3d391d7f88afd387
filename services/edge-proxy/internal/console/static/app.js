import { getJSON, logout, postJSON } from './api.js';
import { Board } from './board.js';
import { Catalog } from './catalog.js';
import { announce, byId, clearAlert, el, setText, showAlert } from './dom.js';
import { Executions } from './executions.js';
import { executePlaybook } from './graphql.js';
import { text } from './json.js';
import * as oidc from './oidc.js';
import { Runs } from './runs.js';
import { State, claim, session } from './store.js';
import { EventStream } from './stream.js';
import { Subscriptions } from './subscriptions.js';
import { Timeline } from './timeline.js';
import { setUpWebhook } from './webhook.js';

const STREAM_LABELS = { connecting: 'Connecting', live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline' };

const RESULT_TIMEOUT_MS = 120000;

let config = null;
let active = null; // {token, user, state, runs, subscriptions, stream} while someone is signed in

const timeline = new Timeline(byId('timeline'), byId('timeline-empty'), fetchResult);
const catalog = new Catalog();
const executions = new Executions();
const board = new Board({ onRun: (button) => start('demo/board', {}, button) });

function setView(view) {
  document.body.dataset.view = view;
  for (const node of document.querySelectorAll('[data-when]')) node.hidden = node.dataset.when !== view;
}

function setStream(state) {
  byId('stream-status').dataset.state = state;
  setText(byId('stream-text'), STREAM_LABELS[state]);
}

function refreshRun() {
  const ready = Boolean(active?.state.clientId && catalog.selected);
  byId('run').disabled = !ready;
  byId('board-run').disabled = !active?.state.clientId;
  setText(byId('run-hint'), ready || !active ? '' : catalog.selected ? 'Waiting for the event stream…' : '');
}

function onMessage(message, id) {
  const { state, runs } = active;
  const init = message?.result;
  if (!init && state.isSeen(id)) return;
  if (init?.clientId) {
    const clientId = text(init.clientId);
    // The position belongs to the client it was given to.
    if (clientId !== state.clientId) state.lastId = '';
    state.clientId = clientId;
    claim(clientId);
    if (id) state.lastId = id;
    for (const request of Array.isArray(init.pendingRequests) ? init.pendingRequests : []) runs.pending(request);
    refreshRun();
    watch(init.capabilities.subscriptionSources);
    state.save();
    return;
  }
  if (message?.method === 'session/expired') {
    endSession('Your session has ended. Sign in again to go on; your timeline is kept.');
    return;
  } else if (message?.method === 'gap') {
    showAlert('You were offline for longer than events are kept: some are missing from the timeline below.', 'info');
    active.subscriptions.gap();
  } else if (message?.method === 'subscription/event' || message?.method === 'subscription/ended') {
    active.subscriptions.apply(message);
  } else if (message?.method) {
    runs.apply(message);
  }
  state.advance(id);
  state.save();
}

/** A gateway says in its first frame what can be watched. */
function watch(sources) {
  const { subscriptions, token } = active;
  if (!Array.isArray(sources) || sources.length === 0) return;
  if (sources.includes('execution')) executions.begin(subscriptions, token);
  if (sources.includes('kv') && config.sandbox) board.begin(subscriptions);
  subscriptions.connected();
}

function newSubscriptions(token, state) {
  const panelOf = (one) => (board.owns(one) ? board : executions.owns(one) ? executions : null);
  const subscriptions = new Subscriptions(state.savedWatches, {
    token,
    clientId: () => state.clientId,
    onState: (one) => {
      panelOf(one)?.showState(one);
      state.save();
    },
    onDocument: (one, docId, op) => panelOf(one)?.showDocument(one, docId, op),
    onError: (cause) => { if (active?.subscriptions === subscriptions) fail(cause); },
  });
  return subscriptions;
}

async function startStream() {
  const mine = active;
  if (mine.state.clientId && !await claim(mine.state.clientId)) mine.state.forgetClient();
  if (active !== mine) return;
  mine.stream = new EventStream(mine.token, {
    position: () => mine.state,
    onState: (value) => {
      if (active !== mine) return;
      setStream(value);
      if (value !== 'live') mine.subscriptions.disconnected();
    },
    onMessage: (message, id) => { if (active === mine) onMessage(message, id); },
    onUnauthorized: () => { if (active === mine) endSession('Your session is not valid any more. Sign in again to go on.'); },
  });
  mine.stream.run();
}

async function loadCatalog() {
  if (!active) return;
  const button = byId('catalog-refresh');
  const focused = document.activeElement === button;
  button.disabled = true;
  try {
    await catalog.load(active.token);
  } catch (cause) {
    fail(cause, 'The playbooks cannot be listed');
  } finally {
    button.disabled = false;
    if (focused) button.focus();
    refreshRun();
  }
}

/** A 401 ends the session, anything else is told. */
function fail(cause, what) {
  if (cause.status === 401 && active) endSession('Your session is not valid any more. Sign in again to go on.');
  else showAlert(what ? `${what}: ${cause.message}` : cause.message);
}

function enter(saved) {
  const { token, user } = saved;
  const state = new State(text(user?.user_id) || text(user?.email));
  const runs = new Runs(state.savedRuns, {
    onChange: (run) => {
      timeline.show(run);
      executions.note(run);
    },
    onRemove: (run) => timeline.remove(run),
  });
  const subscriptions = newSubscriptions(token, state);
  state.bind(() => runs.all(), () => subscriptions.saved());
  active = { token, user, state, runs, subscriptions, stream: null };
  timeline.restore(runs.all());
  const name = text(user?.display_name);
  const email = text(user?.email);
  byId('user').replaceChildren('Signed in as ', el('strong', {}, name || email), name && email ? ` (${email})` : '');
  byId('roles').replaceChildren(...(Array.isArray(user?.roles) ? user.roles : []).map((role) => el('li', {}, text(role))));
  setView('signed-in');
  refreshRun();
  startStream();
  loadCatalog();
}

function leave() {
  const left = active;
  active = null;
  left.stream?.stop();
  left.subscriptions.leave();
  board.leave();
  executions.leave();
  for (const run of [...left.runs.all()]) timeline.remove(run);
  session.clear();
  setStream('offline');
  setView('signed-out');
  byId('sign-in').focus();
  return left;
}

/** The session is over but the person is the same: the place in the stream is kept for the next sign-in. */
function endSession(reason) {
  active.state.flush();
  leave();
  showAlert(reason);
}

async function signOut() {
  clearAlert();
  const { token, state } = leave();
  state.clear();
  try {
    await logout(token);
    announce('Signed out');
  } catch (cause) {
    showAlert(`You are signed out here, but the gateway could not be told: ${cause.message}`);
  }
}

async function signIn() {
  clearAlert();
  byId('sign-in').disabled = true;
  try {
    await oidc.begin(config);
  } catch (cause) {
    showAlert(cause.message);
  }
  byId('sign-in').disabled = false;
}

/** A UUID, also where the page is no secure context and crypto.randomUUID is missing. */
function newRequestId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40; // version 4 (RFC 9562, section 5.4)
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

async function run(event) {
  event.preventDefault();
  if (!active) return;
  const variables = catalog.read();
  if (variables === null) {
    clearAlert();
    catalog.focusVariables();
    return;
  }
  await start(catalog.selected, variables, byId('run'));
}

/** Starts a playbook from one of the buttons that do so. */
async function start(name, variables, button) {
  if (!active) return;
  clearAlert();
  const mine = active;
  const label = button.textContent;
  button.disabled = true;
  setText(button, 'Starting…');
  // Chosen here, so that frames that come before the answer find their card.
  const requestId = newRequestId();
  try {
    const card = mine.runs.started({ requestId }, name);
    if (button === byId('run')) timeline.reveal(card);
    const answer = await executePlaybook(mine.token, { name, variables, clientId: mine.state.clientId, requestId });
    if (active === mine) {
      mine.runs.started(answer, name);
      mine.state.save();
    }
  } catch (cause) {
    // NoETL may have started it all the same when the answer was lost: then its frames bring the card back.
    mine.runs.drop(requestId);
    if (active === mine) fail(cause, cause.status === 403 ? `You may not run ${name}` : `${name} was not started`);
  } finally {
    setText(button, label);
    refreshRun();
    // The new card was scrolled to; the focus must not scroll back.
    if (active === mine) button.focus({ preventScroll: true });
  }
}

async function fetchResult(run, button) {
  const mine = active;
  button.disabled = true;
  try {
    // The address is ours to build: the session goes there, and a frame may repeat what a worker wrote.
    const callback = await getJSON(`/api/results/${encodeURIComponent(run.requestId)}`, { headers: { Authorization: `Bearer ${mine.token}` } }, RESULT_TIMEOUT_MS);
    if (active === mine) mine.runs.fetched(run, callback);
  } catch (cause) {
    if (active === mine) fail(cause, 'The result cannot be fetched');
  } finally {
    button.disabled = false;
  }
}

async function redeem() {
  const idToken = await oidc.finish(config);
  const answer = await postJSON('/api/auth/login', { auth0_token: idToken });
  if (!answer.session_token) throw new Error(answer.message || 'The gateway gave no session.');
  const saved = { token: answer.session_token, user: answer.user, expiresAt: answer.expires_at };
  session.save(saved);
  return saved;
}

async function boot() {
  byId('alert-close').addEventListener('click', clearAlert);
  byId('sign-in').addEventListener('click', signIn);
  byId('sign-out').addEventListener('click', signOut);
  byId('run-form').addEventListener('submit', run);
  byId('catalog-refresh').addEventListener('click', loadCatalog);
  window.addEventListener('online', () => active?.stream?.retryNow());
  window.addEventListener('pagehide', () => active?.state.flush());
  // Back from the back/forward cache with a dead connection: take the ordinary way in.
  window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });

  try {
    config = await getJSON('/console/config.json');
  } catch (cause) {
    setView('signed-out');
    showAlert(`The console cannot start: ${cause.message} Reload the page to try again.`);
    return;
  }
  if (config.version) {
    byId('version').hidden = false;
    setText(byId('version'), text(config.version));
  }
  byId('sandbox-banner').hidden = !config.sandbox;
  byId('demo-accounts').hidden = !config.sandbox;
  if (config.webhook) setUpWebhook(config.webhook, () => executions.refresh());
  if (config.operator) {
    byId('operator-link').href = config.operator;
    byId('operator-link').hidden = false;
  }
  const canSignIn = Boolean(config.issuer && config.client_id);
  byId('sign-in').disabled = !canSignIn;

  let saved = null;
  try {
    saved = oidc.isReturn() ? await redeem() : session.load();
  } catch (cause) {
    showAlert(cause.message);
    saved = session.load();
  }
  if (saved) {
    enter(saved);
    return;
  }
  setView('signed-out');
  if (!canSignIn) showAlert('No identity provider is configured for this console.');
}

boot();
