/** A random UUID (RFC 9562, section 5.4). Pages over plain HTTP have no crypto.randomUUID, except on this machine. */
export function uuid(): string {
  const hex = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b, i) => (
    i === 6 ? 64 | b & 15 : i === 8 ? 128 | b & 63 : b).toString(16).padStart(2, '0')).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
