import { byId, el, setText } from './dom.js';
import { showFieldError } from './catalog.js';
import { bodyOf, isObject, pretty, read, text } from './json.js';
import { sentence } from './words.js';

const ORDER = {
  order_id: 'A-1001',
  customer: 'Ada Lovelace',
  items: [{ sku: 'TEA-GREEN', quantity: 2, price: 7.5 }],
  total: 15,
  currency: 'EUR',
};
const ASK_AGAIN_MS = [2000, 5000, 10000, 20000];

async function sign(secret, bytes) {
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes));
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The bytes that are signed are those that are sent: the receiver checks the raw body. */
async function post(url, { header, secret }, bytes, id) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Message-Id': id, [header]: `sha256=${await sign(secret, bytes)}` },
    body: bytes,
    credentials: 'omit', // a partner has no session
    cache: 'no-store',
    signal: AbortSignal.timeout(30000),
  });
  return { response, body: await bodyOf(response) };
}

const idOf = (body, name) => (isObject(body) ? text(body[name]) : '');

/**
 * The form that plays a partner. hooks: onTaken(executionId) is called when a delivery has started an execution;
 * deliveriesPath() is where an operator looks, or ''.
 */
export function setUpWebhook(listener, hooks) {
  const area = byId('webhook-body');
  const error = byId('webhook-error');
  const target = byId('webhook-result');
  const buttons = [byId('webhook-send'), byId('webhook-forge')];
  const url = `/ingress/${encodeURIComponent(listener.listener)}`;
  let latest = '';
  area.value = JSON.stringify(ORDER, null, 2);
  setText(byId('webhook-target'), url);
  byId('webhook-panel').hidden = false;

  function show(ok, headline, words, body, ...more) {
    target.dataset.ok = String(ok);
    target.replaceChildren(
      el('p', { class: 'answer-head' }, el('strong', {}, headline), ` ${words}`), ...more,
      ...(body === undefined ? [] : [el('details', {}, el('summary', {}, 'Answer'),
        el('pre', { tabindex: '0', role: 'group', 'aria-label': 'Answer' }, typeof body === 'string' ? body : pretty(body)))]));
  }

  /** Where a delivery went: what the partner may know, and for operators a link. */
  function whereabouts(id, body) {
    const executionId = idOf(body, 'execution_id');
    const deliveryId = idOf(body, 'delivery_id');
    const rows = [['Message', id], ['Delivery', deliveryId], ['Execution', executionId]].filter(([, value]) => value);
    const list = el('dl', { class: 'ids', 'data-testid': 'webhook-ids' },
      ...rows.map(([name, value]) => el('div', { class: 'id-row' }, el('dt', {}, name), el('dd', {}, el('code', { class: 'id' }, value)))));
    const path = hooks.deliveriesPath();
    if (!path) return [list];
    const to = deliveryId ? `${path}/${encodeURIComponent(deliveryId)}` : `${path}?q=${encodeURIComponent(id)}`;
    return [list, el('p', {}, el('a', { href: to, 'data-testid': 'webhook-delivery' }, 'See the delivery as its operator does'))];
  }

  function taken({ response, body }, id) {
    const executionId = idOf(body, 'execution_id');
    show(true, `${response.status} ${response.statusText}`.trim(),
      executionId ? 'It has started an execution, which is in the timeline.' : 'It is stored, and started as soon as NoETL can.',
      body, ...whereabouts(id, body));
    if (executionId) hooks.onTaken(executionId);
    return executionId;
  }

  /** A repeated delivery starts nothing; its answer tells the execution when there is one. */
  async function askAgain(bytes, id) {
    for (const ms of ASK_AGAIN_MS) {
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (latest !== id) return;
      const answer = await post(url, listener, bytes, id).catch(() => null);
      if (latest !== id || (answer?.response.ok && taken(answer, id))) return;
    }
  }

  async function deliver(forged) {
    const { error: problem } = read(area.value);
    showFieldError(area, error, problem);
    if (problem) return area.focus();
    if (!globalThis.crypto?.subtle) return show(false, 'Not sent.', 'Signing needs a secure page: https, or http://localhost.');
    for (const button of buttons) button.disabled = true;
    const id = latest = crypto.randomUUID();
    const bytes = new TextEncoder().encode(area.value);
    try {
      const answer = await post(url, forged ? { ...listener, secret: `${listener.secret}-forged` } : listener, bytes, id);
      const { response, body } = answer;
      if (response.ok) {
        if (!taken(answer, id)) askAgain(bytes, id);
      } else {
        show(false, `${response.status} ${response.statusText}`.trim(),
          forged && response.status === 401 ? 'Rejected, as it should be: nothing was started.' : 'Rejected', body);
      }
    } catch (cause) {
      show(false, 'Not sent.', sentence(cause));
    } finally {
      for (const button of buttons) button.disabled = false;
      byId(forged ? 'webhook-forge' : 'webhook-send').focus({ preventScroll: true });
    }
    return undefined;
  }

  byId('webhook-form').addEventListener('submit', (event) => {
    event.preventDefault();
    deliver(false);
  });
  byId('webhook-forge').addEventListener('click', () => deliver(true));
}
