import { readBody, send } from './api.js';
import { byId, el, setText } from './dom.js';
import { showFieldError } from './catalog.js';
import { isObject, parse, pretty } from './json.js';

const ORDER = {
  order_id: 'A-1001',
  customer: 'Ada Lovelace',
  items: [{ sku: 'TEA-GREEN', quantity: 2, price: 7.5 }],
  total: 15,
  currency: 'EUR',
};

async function sign(secret, bytes) {
  const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes));
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function invalid(source) {
  try {
    parse(source);
    return undefined;
  } catch (cause) {
    return `This is not valid JSON: ${cause.message}`;
  }
}

function verdict(response, body, forged) {
  if (response.ok) {
    const id = isObject(body) ? body.execution_id ?? body.delivery_id : null;
    const what = isObject(body) && body.execution_id ? 'execution' : 'delivery';
    return id ? `${what} ${id.rawJSON ?? id}` : '';
  }
  if (forged && response.status === 401) return 'Rejected, as it should be: nothing was started.';
  return 'Rejected';
}

function show(target, ok, headline, summary, body) {
  target.dataset.ok = String(ok);
  target.replaceChildren(
    el('p', { class: 'answer-head' }, el('strong', {}, headline), ` ${summary}`),
    ...(body === undefined ? [] : [el('pre', { tabindex: '0', 'aria-label': 'Answer', role: 'region' }, body)]));
}

/** onTaken() is called after a delivery was taken. */
export function setUpWebhook({ listener, header, secret }, onTaken) {
  const area = byId('webhook-body');
  const error = byId('webhook-error');
  const target = byId('webhook-result');
  const buttons = [byId('webhook-send'), byId('webhook-forge')];
  const url = `/ingress/${encodeURIComponent(listener)}`;
  area.value = JSON.stringify(ORDER, null, 2);
  setText(byId('webhook-target'), url);
  byId('webhook-panel').hidden = false;

  async function deliver(forged) {
    const problem = invalid(area.value);
    showFieldError(area, error, problem);
    if (problem) return area.focus();
    if (!globalThis.crypto?.subtle) {
      return show(target, false, 'Not sent.', 'Signing needs a secure page: https, or http://localhost.');
    }
    for (const button of buttons) button.disabled = true;
    try {
      // The very bytes that are signed are sent: the receiver checks the raw body.
      const bytes = new TextEncoder().encode(area.value);
      const signature = await sign(forged ? `${secret}-forged` : secret, bytes);
      const response = await send(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', [header]: `sha256=${signature}` },
        body: bytes,
        credentials: 'omit',
      });
      const body = await readBody(response);
      show(target, response.ok, `${response.status} ${response.statusText}`.trim(), verdict(response, body, forged),
        typeof body === 'string' ? body : pretty(body));
      if (response.ok) onTaken();
    } catch (cause) {
      show(target, false, 'Not sent.', cause.message);
    } finally {
      for (const button of buttons) button.disabled = false;
      byId(forged ? 'webhook-forge' : 'webhook-send').focus();
    }
    return undefined;
  }

  byId('webhook-form').addEventListener('submit', (event) => {
    event.preventDefault();
    deliver(false);
  });
  byId('webhook-forge').addEventListener('click', () => deliver(true));
}
