/** Tests wait for conditions, never for time. */

export interface WaitForOptions {
  /** Default 10 s. */
  readonly deadlineMs?: number;
  /** Default 20 ms. */
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
  const { deadlineMs = 10_000, pollMs = 20, what = "the condition" } = options;
  const end = performance.now() + deadlineMs;
  for (;;) {
    let last: unknown;
    try {
      const result = await condition();
      if (result) return result;
      last = result;
    } catch (thrown) {
      last = thrown;
    }
    if (performance.now() > end) {
      throw new Error(`Waited ${deadlineMs} ms in vain for ${what}; last: ${describe(last)}`, {
        cause: last,
      });
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function describe(value: unknown): string {
  return value instanceof Error ? value.message : (JSON.stringify(value) ?? String(value));
}
