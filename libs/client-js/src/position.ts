/** `<epoch>-<number>-<client>`, with `s` before the number when it is not that of a frame. */
export interface Position { epoch: string; n: number; client: string }

export function position(id: string | null | undefined): Position | null {
  const m = /^([0-9a-z]+)-s?(\d+)-(.+)$/.exec(id ?? '');
  return m && { epoch: m[1]!, n: Number(m[2]), client: m[3]! };
}

/** Whether both are places in one and the same stream. */
export function comparable(a: Position | null, b: Position | null): a is Position {
  return a !== null && b !== null && a.epoch === b.epoch && a.client === b.client;
}

/** Whether a frame with this id comes after a place; what cannot be compared does. */
export function isAfter(id: string, last: string | null | undefined): boolean {
  const a = position(id);
  const b = position(last);
  return !comparable(a, b) || a.n > b!.n;
}
