/** Requests of the API on their way from the sidecar that was asked to the one that leads. */
import { z } from "zod";
import type { ForwardedRequest } from "../../routes/standby.ts";
import type { MemberRpc } from "../control/members/member_rpc.ts";
import type { Members } from "../control/members/members.ts";
import { LeafmeshError } from "../model/errors.ts";

export const API_VERB = "api";
/** Longer than the longest answer takes to begin. */
const ANSWER_MS = 230_000;
const LENGTH_BYTES = 4;

const RequestHead = z.object({
  method: z.string(),
  path: z.string(),
  headers: z.record(z.string(), z.string()),
  address: z.string(),
});
const ResponseHead = z.object({ status: z.number(), headers: z.array(z.tuple([z.string(), z.string()])) });

/**
 * Asks the one that leads.
 * @throws LeafmeshError `no_leader` while nobody leads, and when the one that was asked stops leading before it answers
 */
export async function forwardRequest(
  members: Members,
  rpc: MemberRpc,
  { body, ...head }: ForwardedRequest,
): Promise<Response> {
  const { leader } = members;
  if (leader === null || leader === members.name) {
    throw new LeafmeshError("no_leader", "No sidecar leads the site at this moment: ask again");
  }
  const gone = new AbortController();
  const stop = members.onChange(() => {
    if (members.leader === leader) return;
    const why = `Member ${leader} stopped leading before it answered: look what it has done, and ask again`;
    gone.abort(new LeafmeshError("no_leader", why));
  });
  try {
    const packed = pack(head, body);
    const answer = await rpc.ask(leader, API_VERB, packed, { timeoutMs: ANSWER_MS, signal: gone.signal });
    const found = unpack(answer, ResponseHead);
    const { status, headers } = found.head;
    const empty = status === 204 || status === 304 || head.method === "HEAD";
    return new Response(empty ? null : found.body, { status, headers: headers as [string, string][] });
  } finally {
    stop();
  }
}

/** Answers what another sidecar hands over, with the API of this one. */
export async function answerForwarded(
  body: Uint8Array,
  fetch: (request: Request, client: { readonly address: string }) => Response | Promise<Response>,
): Promise<Uint8Array> {
  const found = unpack(body, RequestHead);
  const { method, path, headers, address } = found.head;
  const withBody = method !== "GET" && method !== "HEAD" && found.body.length > 0;
  const request = new Request(`http://localhost${path}`, {
    method,
    // The one that was asked has looked at the host.
    headers: {
      ...headers,
      host: "localhost",
      ...(withBody ? { "content-length": `${found.body.length}` } : {}),
    },
    ...(withBody ? { body: found.body } : {}),
  });
  const response = await fetch(request, { address });
  const bytes = new Uint8Array(await response.arrayBuffer());
  return pack({ status: response.status, headers: [...response.headers] }, bytes);
}

function pack(head: unknown, body: Uint8Array): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(head));
  const packed = new Uint8Array(LENGTH_BYTES + text.length + body.length);
  new DataView(packed.buffer).setUint32(0, text.length);
  packed.set(text, LENGTH_BYTES);
  packed.set(body, LENGTH_BYTES + text.length);
  return packed;
}

function unpack<T extends z.ZodType>(
  bytes: Uint8Array,
  head: T,
): { head: z.infer<T>; body: Uint8Array<ArrayBuffer> } {
  const { buffer, byteOffset } = bytes;
  const length = new DataView(buffer, byteOffset).getUint32(0);
  const text = new TextDecoder().decode(bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
  return { head: head.parse(JSON.parse(text)), body: bytes.slice(LENGTH_BYTES + length) };
}
