/** Requests to JetStream while its server reads a changed configuration. */
import { isUnheard } from "./jetstream_errors.ts";
import { sleep } from "./wait.ts";

const WITHIN_MS = 2000;
const PAUSE_MS = 50;

/**
 * Makes a request again while nobody is there to answer it, for two seconds at most: a server that reads a changed configuration
 * answers with "no responders" for a moment. Writes may be repeated too: nobody had them.
 * @throws what the last attempt has thrown
 */
export async function untilServed<T>(work: () => Promise<T>, withinMs = WITHIN_MS): Promise<T> {
  const endsAt = performance.now() + withinMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!isUnheard(error) || performance.now() >= endsAt) throw error;
      await sleep(PAUSE_MS);
    }
  }
}
