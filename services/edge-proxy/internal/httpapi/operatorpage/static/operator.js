// What is live on the operators' pages. They work without it. Text from clients and partners only ever becomes text.
'use strict';

// tailDeliveries keeps the list up to date: rows change where they are, new ones come first.
function tailDeliveries(status, rows) {
  const {listener, state} = status.dataset;
  const source = new EventSource('/api/ingress/tail' + (listener ? '?listener=' + encodeURIComponent(listener) : ''));
  let changes = 0;
  const say = (text) => { status.hidden = false; status.textContent = text; };
  source.onopen = () => say('Live: changes appear here as they happen.');
  source.onerror = () => say('Not live at the moment: trying again.');
  source.addEventListener('delivery', (event) => {
    const d = JSON.parse(event.data);
    let row = rows.querySelector('tr[data-id="' + CSS.escape(d.id) + '"]');
    if (!row && state && d.state !== state) return;
    if (!row) {
      row = document.createElement('tr');
      row.dataset.id = d.id;
      rows.prepend(row);
      while (rows.rows.length > 200) rows.lastElementChild.remove();
    }
    fill(row, d);
    changes += 1;
    say('Live: ' + changes + (changes === 1 ? ' change' : ' changes') + ' since the page was loaded.');
  });
  source.addEventListener('end', (event) => {
    source.close();
    say('No longer live: ' + JSON.parse(event.data).error);
  });
}

function fill(row, d) {
  const focused = row.contains(document.activeElement);
  const link = document.createElement('a');
  link.href = '/operator/deliveries/' + encodeURIComponent(d.id);
  link.append(code(d.id));
  const state = document.createElement('span');
  state.className = 'state ' + d.state;
  state.textContent = d.state;
  const changed = document.createElement('time');
  changed.dateTime = d.changed_at;
  changed.textContent = d.changed_at.slice(0, 19).replace('T', ' ') + ' UTC';
  const cells = {
    Delivery: link, State: state, Listener: d.listener, Changed: changed, Attempts: String(d.attempts),
    Reason: d.reason || '', Execution: code(d.execution_id || ''),
  };
  row.replaceChildren(...Object.entries(cells).map(([label, content]) => {
    const cell = document.createElement('td');
    cell.dataset.label = label;
    cell.append(content);
    return cell;
  }));
  if (focused) link.focus();
}

function code(text) {
  const element = document.createElement('code');
  element.textContent = text;
  return element;
}

// refreshListeners takes plots and counts from the page as the server writes it now. Links keep their focus.
async function refreshListeners(cards) {
  if (document.hidden || cards.contains(document.activeElement)) return;
  const answer = await fetch('/operator/listeners', {redirect: 'error'}).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.getElementById('listeners');
  if (fresh) cards.replaceChildren(...fresh.children);
}

// every calls a task again and again while the page is seen and the task returns true: so many milliseconds after the
// one before has ended, and when the page is seen again.
function every(ms, task) {
  let timer = 0, busy = false, over = false;
  const run = async () => {
    clearTimeout(timer);
    if (busy || over || document.hidden) return;
    busy = true;
    try {
      over = !await task();
    } finally {
      busy = false;
    }
    if (!over) timer = setTimeout(run, ms);
  };
  document.addEventListener('visibilitychange', run);
  timer = setTimeout(run, ms);
  return run;
}

// keepFresh makes the live parts of the page what the server writes now.
function keepFresh(bar, parts) {
  const said = bar.querySelector('[data-testid=live]'), pause = bar.querySelector('button');
  const ms = Number(bar.dataset.refresh);
  let paused = false;
  const say = (text) => { if (said.textContent !== text) said.textContent = text; };
  const fresh = 'Live: this page updates itself.';
  bar.hidden = false;
  say(fresh);
  const run = every(ms, async () => {
    if (paused) return true;
    const answer = await fetch(location.href, {redirect: 'manual', headers: {Accept: 'text/html'}}).catch(() => null);
    if (answer && (answer.type === 'opaqueredirect' || answer.status === 403)) {
      say('No longer live: your session has ended. Load the page again to sign in.');
      return false;
    }
    if (answer && answer.status === 404) {
      say('No longer live: it does not exist any more.');
      return false;
    }
    const text = answer && answer.ok ? await answer.text().catch(() => '') : '';
    if (paused) return true;
    const page = new DOMParser().parseFromString(text, 'text/html');
    showCopyButtons(page);
    let found = 0;
    for (const part of parts) {
      const now = page.getElementById(part.id);
      if (!now) continue;
      found += 1;
      keepingFocus(part, () => merge(part, now));
    }
    say(found ? fresh : 'Not live at the moment: trying again.');
    return true;
  });
  pause.addEventListener('click', () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    say(paused ? 'Paused: this page does not change.' : fresh);
    run();
  });
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.id || node.dataset.testid || '' : '');

// merge makes an element equal to another. Elements that stay are kept: focus, selection and scrolling are theirs.
function merge(old, now) {
  if (old.isEqualNode(now)) return;
  if (old.nodeName !== now.nodeName || keyOf(old) !== keyOf(now)) {
    old.replaceWith(now);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = now.nodeValue;
    return;
  }
  for (const {name} of [...old.attributes]) if (!now.hasAttribute(name)) old.removeAttribute(name);
  for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const wanted = new Set([...now.childNodes].map(keyOf));
  const kept = new Map();
  for (const child of [...old.childNodes]) {
    const key = keyOf(child);
    if (key && !wanted.has(key)) child.remove();
    else if (key) kept.set(key, child);
  }
  let at = old.firstChild;
  for (const child of [...now.childNodes]) {
    const key = keyOf(child);
    const same = key ? kept.get(key) : at && !keyOf(at) ? at : null;
    if (!same) {
      old.insertBefore(child, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else old.insertBefore(same, at);
    merge(same, child);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

// keepingFocus leaves the focus near where it was when its element goes: to the row that is there now, else to the part.
function keepingFocus(part, change) {
  const active = document.activeElement;
  if (!part.contains(active)) {
    change();
    return;
  }
  const row = active.closest('[data-id]');
  const place = row ? [...row.parentNode.children].indexOf(row) : 0;
  const body = row && row.parentNode;
  change();
  if (document.activeElement === active) return;
  const rows = body && body.isConnected ? body.children : [];
  const near = rows.length ? rows[Math.min(place, rows.length - 1)].querySelector('a, button') : null;
  const target = active.isConnected ? active : near || document.getElementById('main');
  target.focus({preventScroll: true});
}

// What is plotted: the last five minutes, asked for every two seconds.
const plotMs = 5 * 60 * 1000, plotEveryMs = 2000, plotGapMs = 10000;
const plotWidth = 300, plotHeight = 60;

// plotStatus plots the counters of all replicas. It remembers them while the tab is open, across pages.
function plotStatus(plots, status) {
  const tiles = [...plots.querySelectorAll('[data-counter]')];
  const store = 'noetl-operator-plots';
  let samples = [];
  try {
    samples = JSON.parse(sessionStorage.getItem(store)) || [];
  } catch {
    // There is nothing to go on from.
  }
  const seen = new Map(); // of each replica: when, since when it runs, and its counters
  const say = (text) => {
    status.hidden = !text;
    if (status.textContent !== text) status.textContent = text;
  };
  for (const tile of tiles) addPlot(tile);
  const ask = async () => {
    if (document.querySelector('[data-refresh] [aria-pressed=true]')) return true; // paused
    const answer = await fetch('/api/operator/status', {redirect: 'error'}).catch(() => null);
    const body = answer && answer.ok ? await answer.json().catch(() => null) : null;
    if (!body) {
      say('The plots stand still: the gateway does not tell its state at the moment.');
      return !answer || answer.status !== 401 && answer.status !== 403;
    }
    say('');
    const at = Date.now();
    const sums = sumOf(body.replicas || [], seen, at, tiles);
    samples = samples.filter((one) => one.at > at - plotMs && one.at <= at);
    if (sums.known) samples.push({at, values: sums.values});
    try {
      sessionStorage.setItem(store, JSON.stringify(samples));
    } catch {
      // The plots begin again on the next page.
    }
    for (const tile of tiles) draw(tile, samples, sums, at);
    return true;
  };
  every(plotEveryMs, ask)();
}

// sumOf adds up all replicas: how fast counters grow each second, how large the others are. A replica that began again
// has counted from nothing.
function sumOf(replicas, seen, at, tiles) {
  const values = {}, totals = {};
  let known = false;
  for (const replica of replicas) {
    const name = replica.service + '/' + replica.replica, counters = replica.counters || {};
    let before = seen.get(name);
    if (before && before.started !== replica.started_at) before = {at: before.at, counters: {}};
    if (before && at > before.at) known = true;
    for (const {dataset: {counter, rate}} of tiles) {
      const now = counters[counter] || 0;
      totals[counter] = (totals[counter] || 0) + now;
      let value = now;
      if (rate !== undefined) {
        const grown = before ? now - (before.counters[counter] || 0) : 0;
        value = grown > 0 ? grown / Math.max(1, (at - before.at) / 1000) : 0;
      }
      values[counter] = (values[counter] || 0) + value;
    }
    seen.set(name, {at, started: replica.started_at, counters});
  }
  for (const [name, one] of seen) if (at - one.at > 60000) seen.delete(name);
  return {known, values, totals};
}

const svg = (name) => document.createElementNS('http://www.w3.org/2000/svg', name);

function addPlot(tile) {
  const plot = svg('svg');
  plot.setAttribute('class', 'plot');
  plot.setAttribute('role', 'img');
  plot.setAttribute('aria-label', 'No plot yet');
  plot.setAttribute('viewBox', '0 0 ' + plotWidth + ' ' + plotHeight);
  plot.setAttribute('preserveAspectRatio', 'none');
  plot.append(svg('path'), svg('path'));
  plot.firstChild.setAttribute('class', 'area');
  plot.lastChild.setAttribute('class', 'line');
  tile.querySelector('[data-now]').after(plot);
}

function draw(tile, samples, sums, at) {
  const {counter, rate} = tile.dataset;
  const isRate = rate !== undefined;
  const points = samples.map((one) => ({at: one.at, value: one.values[counter] || 0}));
  const most = points.reduce((top, one) => Math.max(top, one.value), 0);
  const x = (one) => ((one.at - at + plotMs) / plotMs * plotWidth).toFixed(1);
  const y = (one) => (plotHeight - 1 - one.value / (most || 1) * (plotHeight - 4)).toFixed(1);
  let line = '', area = '';
  let run = [];
  const end = () => {
    if (!run.length) return;
    const path = run.map((one) => x(one) + ' ' + y(one)).join('L');
    line += 'M' + path;
    area += 'M' + x(run[0]) + ' ' + plotHeight + 'L' + path + 'L' + x(run.at(-1)) + ' ' + plotHeight + 'Z';
    run = [];
  };
  for (const one of points) {
    if (run.length && one.at - run.at(-1).at > plotGapMs) end();
    run.push(one);
  }
  end();
  const plot = tile.querySelector('svg');
  plot.querySelector('.line').setAttribute('d', line);
  plot.querySelector('.area').setAttribute('d', area);
  const number = (value) => value.toLocaleString('en', {maximumFractionDigits: value < 1 ? 2 : value < 10 ? 1 : 0});
  const unit = isRate ? ' per second' : ' open';
  const now = number(sums.known || !isRate ? sums.values[counter] || 0 : 0);
  const total = number(Math.round(sums.totals[counter] || 0));
  tile.querySelector('[data-now]').textContent = now + (isRate ? '/s' : '');
  tile.querySelector('[data-note]').textContent = (isRate ? total + ' since the start; at' : 'open; at') + ' most ' +
    number(most) + (isRate ? '/s' : '') + ' in five minutes';
  const title = tile.querySelector('h3').textContent;
  plot.setAttribute('aria-label', title + ' of the last five minutes: now ' + now + unit + ', at most ' + number(most));
}

// Buttons that copy are of no use without a script.
function showCopyButtons(part) {
  for (const button of part.querySelectorAll('[data-copy]')) button.hidden = false;
}

async function copy(event) {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const text = button.previousElementSibling;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    flash(button, 'Copied');
  } catch { // browsers refuse it to pages without TLS: the keyboard may
    getSelection().selectAllChildren(text);
    flash(button, 'Press Ctrl+C');
  }
}

function flash(button, text) {
  const word = button.firstChild;
  button.setAttribute('aria-live', 'polite');
  word.nodeValue = text;
  setTimeout(() => { word.nodeValue = 'Copy'; }, 3000);
}

const live = document.getElementById('live');
if (live) tailDeliveries(live, document.getElementById('rows'));
const cards = document.getElementById('listeners');
if (cards) setInterval(() => refreshListeners(cards), 10000);
const refresh = document.querySelector('[data-refresh]');
if (refresh) keepFresh(refresh, [...document.querySelectorAll('[data-fresh]')]);
const plots = document.getElementById('plots');
if (plots) plotStatus(plots, document.getElementById('plots-status'));
document.addEventListener('click', copy);
showCopyButtons(document);
