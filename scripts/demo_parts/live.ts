import type { Example } from "./payloads.ts";
import type { Ring } from "./ring.ts";
/** x */
export async function runLive(
  _ring: Ring,
  _examples: readonly Example[],
  _signal: AbortSignal,
): Promise<void> {}
