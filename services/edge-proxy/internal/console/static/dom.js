export const byId = (id) => document.getElementById(id);

/** el('p', {class: 'x', 'data-a': 1}, 'text', node): strings become text nodes, never markup. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children);
  return node;
}

/** Touches the node only on a real change, so that live regions do not repeat themselves. */
export function setText(node, value) {
  if (node.textContent !== value) node.textContent = value;
}

export function announce(message) {
  setText(byId('announce'), message);
}

export function showAlert(message, kind = 'error') {
  byId('alert-box').dataset.kind = kind;
  byId('alert-box').hidden = false;
  byId('alert').textContent = message;
}

export function clearAlert() {
  byId('alert-box').hidden = true;
  byId('alert').textContent = '';
}

/** Disables a button while work is under way, and gives it back the focus that it lost by that. */
export async function whileBusy(button, work) {
  const focused = document.activeElement === button;
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
    if (focused && document.activeElement === document.body) button.focus({ preventScroll: true });
  }
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

export function timeText(value) {
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? '' : clock.format(date);
}

/** source is the element that holds the value. */
export async function copyText(value, button, source) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(value);
    button.textContent = 'Copied';
    announce('Copied');
  } catch {
    // No clipboard (permission, plain http): select it, so that one keystroke copies.
    getSelection().selectAllChildren(source);
    button.textContent = 'Selected';
    announce('Selected: press Ctrl+C to copy');
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}
