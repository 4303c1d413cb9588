/** The keys that stand for a tenant's own where a policy is tried without a site: known to all, so they hide nothing. */
import type { PolicyKeys } from "../model/keys.ts";

const KEY = { id: "test", secret: Uint8Array.from({ length: 32 }, (_, i) => i) };

/** Id `test`; the secret is the 32 bytes 0x00, 0x01, … 0x1f. */
export const TEST_KEYS: PolicyKeys = { pseudonym: KEY, encrypt: KEY };
