// What is live on the operators' pages. They work without it. Text from partners only ever becomes text.
'use strict';

const live = document.getElementById('live');
if (live) tailDeliveries(live, document.getElementById('rows'));
const cards = document.getElementById('listeners');
if (cards) setInterval(() => refreshListeners(cards), 10000);

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
