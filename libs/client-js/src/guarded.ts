/** Calls a handler of the page; one that fails, also later, must stop neither the stream nor the program. */
export async function guarded(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    console.error(error);
  }
}
