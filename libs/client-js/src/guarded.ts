/** Calls a handler of the page; one that fails must not stop the stream. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}
