/** Loaded before every test file: slow machines need more than the five seconds that a test has by default. As in `scripts/test`. */
import { setDefaultTimeout } from "bun:test";

setDefaultTimeout(30_000);
