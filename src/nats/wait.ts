/** Waiting: for time, and for a condition. */
import { errorText } from "../model/errors.ts";

/** Resolves after `ms`, or at once when `signal` aborts. */
export async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** Polls until `condition` holds; whether it did within the deadline. */
export async function until(
  condition: () => Promise<boolean>,
  deadlineMs: number,
  pollMs = 20,
): Promise<boolean> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) return false;
    await sleep(pollMs);
  }
  return true;
}

/** Does something again and again until it is aborted. `failed` is told what it throws, once while that stays the same. */
export async function repeat(
  work: (signal: AbortSignal) => Promise<unknown>,
  {
    everyMs,
    signal,
    failed,
  }: { readonly everyMs: number; readonly signal: AbortSignal; readonly failed: (text: string) => void },
): Promise<void> {
  let said = "";
  while (!signal.aborted) {
    try {
      await work(signal);
      said = "";
    } catch (thrown) {
      const text = errorText(thrown);
      if (text !== said && !signal.aborted) failed(text);
      said = text;
    }
    await sleep(everyMs, signal);
  }
}
