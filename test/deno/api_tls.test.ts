/** The certificate of the API is replaced while a real sidecar serves it, on Deno. */
import { changeApiTls } from "../support/api_tls.ts";

Deno.test(
  "the API shows another certificate when its files change, and keeps what it has where they are no good",
  changeApiTls,
);
