/** The certificate of the API is replaced while a real sidecar serves it. */
import { test } from "bun:test";
import { changeApiTls } from "../support/api_tls.ts";

test("the API shows another certificate when its files change, and keeps what it has where they are no good", async () => {
  await changeApiTls();
}, 180_000);
