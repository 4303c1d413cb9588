/** The key that stands for a tenant's own where a policy is tried without a site: known to all, so it hides nothing. */
import type { PseudonymKey } from "../model/keys.ts";

/** Id `test`; the secret is the 32 bytes 0x00, 0x01, … 0x1f. */
export const TEST_KEY: PseudonymKey = { id: "test", secret: Uint8Array.from({ length: 32 }, (_, i) => i) };
