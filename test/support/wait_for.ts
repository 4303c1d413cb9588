/** Tests wait for conditions, never for time. */

const POLL_MS = { least: 20, most: 200, ofWaited: 0.1 } as const;

export interface WaitForOptions {
  /** Default 10 s. */
  readonly deadlineMs?: number;
  /** Default: a tenth of what it has waited so far, from 20 ms up to 200: who asks costs those that are asked. */
  readonly pollMs?: number;
  /** What is waited for, for the error. */
  readonly what?: string;
}

/**
 * Polls until `condition` returns something truthy, and resolves to that. What it throws counts as "not yet".
 *
 * @throws Error after the deadline, with what was returned or thrown last
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitForOptions = {},
): Promise<NonNullable<T>> {
  const { deadlineMs = 10_000, what = "the condition" } = options;
  const began = performance.now();
  for (;;) {
    let last: unknown;
    try {
      const result = await condition();
      if (result) return result;
      last = result;
    } catch (thrown) {
      last = thrown;
    }
    const waited = performance.now() - began;
    if (waited > deadlineMs) {
      throw new Error(`Waited ${deadlineMs} ms in vain for ${what}; last: ${describe(last)}`, {
        cause: last,
      });
    }
    const pollMs =
      options.pollMs ?? Math.min(POLL_MS.most, Math.max(POLL_MS.least, waited * POLL_MS.ofWaited));
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function describe(value: unknown): string {
  return value instanceof Error ? value.message : (JSON.stringify(value) ?? String(value));
}
