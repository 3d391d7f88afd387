const NUMBER = /-?\d[\d.eE+-]*/g;
const LONG = /^-?\d{16,}$/;

/** Ids are 64-bit integers. JSON.parse would round those beyond 2^53; here they become strings. */
export function parse(text: string): any {
  return JSON.parse(/\d{16}/.test(text) ? quoteLong(text) : text);
}

/** Puts long integers into quotes, outside of strings. It reads the text once, however long its strings are. */
function quoteLong(text: string): string {
  const parts: string[] = [];
  const keep = (n: string) => (LONG.test(n) && !Number.isSafeInteger(Number(n)) ? `"${n}"` : n);
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    parts.push(text.slice(at, quote < 0 ? undefined : quote).replace(NUMBER, keep));
    if (quote < 0) break;
    at = endOfString(text, quote);
    parts.push(text.slice(quote, at));
  }
  return parts.join('');
}

function endOfString(text: string, quote: number): number {
  for (let end = quote; ;) {
    end = text.indexOf('"', end + 1);
    if (end < 0) return text.length;
    let back = end;
    while (text[back - 1] === '\\') back--;
    if ((end - back) % 2 === 0) return end + 1;
  }
}
