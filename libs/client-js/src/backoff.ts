/** Capped exponential backoff, half of it random, so that a restart is not met by all clients concurrently. */
export function backoff(attempt: number, base = 1000, cap = 30_000, random: () => number = Math.random): number {
  const full = Math.min(cap, base * 2 ** Math.min(attempt, 16));
  return full / 2 + random() * full / 2;
}

/** How long to wait after a failure: at least as long as the gateway says. */
export const pauseOf = (error: { retryAfter?: number }, attempt: number) => Math.max(error.retryAfter ?? 0, backoff(attempt));

export const delay = (ms: number) => new Promise<void>((resolve) => { setTimeout(resolve, ms); });
