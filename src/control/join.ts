/** Joining a site by its invitation: what would be trusted, then the talk with the inviting site, then the link. */
import { randomBytes } from "node:crypto";
import { LeafmeshError } from "../model/errors.ts";
import type { Peer } from "../model/schema/site.ts";
import { type SigningKey, signingKeyOf } from "../nats/keys.ts";
import type { StateStore } from "./api.ts";
import { openMessage } from "./envelope.ts";
import { type InvitationPayload, openInvitation } from "./invitation_token.ts";
import type { JoinPreview, JoinReport, JoinRequest } from "./join_api.ts";
import { JoinClient } from "./join_client.ts";
import { errorOfRefusal, JoinAnswer, type JoinBody, sealJoin } from "./join_message.ts";
import { dialUrl, type LinkTrust } from "./link_trust.ts";
import { requireNotRevokedKey } from "./revocations.ts";

const LINKED_WITHIN_MS = 20_000;
const LOOK_EVERY_MS = 50;
/** Answers to earlier questions that are passed over. */
const MOST_LATE = 8;

/** One question. */
interface Talk {
  readonly payload: InvitationPayload;
  readonly token: SigningKey;
  readonly request: JoinRequest;
  readonly verb: "join" | "joined";
}

export interface JoinHost {
  readonly site: string;
  readonly key: SigningKey;
  readonly state: StateStore;
  readonly trust: LinkTrust;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  readonly verified: (peer: string) => boolean;
  /** SHA-256 of a CA's public key, hex. */
  readonly fingerprint: (caPem: string) => string;
  readonly now: () => number;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * What joining would trust. Changes nothing and asks nobody.
 * @throws {LeafmeshError} `invitation_invalid`, `invitation_expired`, `invitation_foreign`, `peer_revoked`, `conflict`
 */
export function previewJoin(host: JoinHost, request: JoinRequest): JoinPreview {
  return shown(host, openFor(host, request), request);
}

/**
 * Joins. What was cut in the middle is repeated with the same token.
 * @throws {LeafmeshError} as {@link previewJoin}; `peer_unreachable`, `peer_refused` or `invitation_used` where the inviting
 * site cannot be asked or refuses
 */
export async function joinSite(
  host: JoinHost,
  request: JoinRequest,
  signal?: AbortSignal,
): Promise<JoinReport> {
  const payload = openFor(host, request);
  const preview = shown(host, payload, request);
  if (preview.known && host.verified(payload.from)) return { ...preview, linked: true, linkedMs: 0 };
  const began = performance.now();
  try {
    return { ...preview, ...(await joinAnew(host, payload, request, signal)) };
  } catch (error) {
    // An earlier try of ours may have used it, and have been cut after the other side had heard of it: the link comes up by itself.
    const used = error instanceof LeafmeshError && error.code === "invitation_used";
    if (!used || !preview.known || !(await waitLinked(host, payload.from, signal))) throw error;
    return { ...preview, linked: true, linkedMs: Math.round(performance.now() - began) };
  }
}

async function joinAnew(
  host: JoinHost,
  payload: InvitationPayload,
  request: JoinRequest,
  signal: AbortSignal | undefined,
): Promise<Pick<JoinReport, "linked" | "linkedMs">> {
  const peer = peerOf(payload, request);
  const ref = { type: "peer", peer: peer.name } as const;
  host.state.check(ref, peer);
  const token = signingKeyOf(new TextEncoder().encode(payload.seed));
  using desk = await JoinClient.open({ payload, key: token, ...(signal === undefined ? {} : { signal }) });
  const ask = (verb: Talk["verb"]) => askDesk(host, desk, { payload, token, request, verb });
  await ask("join");
  const answered = performance.now();
  const there = host.state.get(ref);
  // Ours, whatever invitation of this site it may have shown.
  const { invited: _, ...known } = there?.value ?? {};
  await host.state.put(ref, { ...known, ...peer }, there?.revision ?? null);
  await host.configure();
  // The link itself tells it, too.
  const told = await ask("joined").catch((error: unknown) => error);
  const linked = await waitLinked(host, payload.from, signal);
  if (!linked && request.dialBack !== undefined && told instanceof LeafmeshError) throw told;
  const linkedMs = Math.round(performance.now() - answered);
  host.log(
    "info",
    `joined ${payload.from} (key ${payload.key}), ${linked ? `linked after ${linkedMs} ms` : "not linked yet"}`,
  );
  return { linked, linkedMs };
}

/** Reads a token and holds it against this site. */
function openFor(host: JoinHost, { token }: JoinRequest): InvitationPayload {
  const payload = openInvitation(token);
  const { site, state, trust } = host;
  if (payload.from === site || payload.key === host.key.publicKey) {
    throw new LeafmeshError(
      "invitation_foreign",
      `This site, ${site}, has made this invitation: use it at ${payload.to}`,
    );
  }
  if (payload.to !== site)
    throw new LeafmeshError("invitation_foreign", `The invitation is for ${payload.to}, but this is ${site}`);
  if (payload.expires <= host.now()) {
    const since = new Date(payload.expires).toISOString();
    throw new LeafmeshError(
      "invitation_expired",
      `The invitation of ${payload.from} has expired at ${since}`,
    );
  }
  requireNotRevokedKey(state, payload.key);
  const there = state.get({ type: "peer", peer: payload.from })?.value;
  if (there !== undefined && there.key !== payload.key) {
    throw new LeafmeshError(
      "conflict",
      `${payload.from} is a peer already, with key ${there.key}; the invitation names ${payload.key}. Is it another site of that name? Then remove the peer first`,
    );
  }
  if ((payload.tls === undefined) !== (trust.tls === null)) {
    const [theirs, ours] = payload.tls === undefined ? ["plain", "TLS"] : ["TLS", "plain"];
    throw new LeafmeshError(
      "conflict",
      `The links of ${payload.from} are ${theirs}, those of this site ${ours}: make both the same (server.links)`,
    );
  }
  return payload;
}

function shown(host: JoinHost, payload: InvitationPayload, { dialBack }: JoinRequest): JoinPreview {
  return {
    site: payload.from,
    address: payload.address,
    key: payload.key,
    caFingerprint: payload.tls === undefined ? null : host.fingerprint(payload.tls.ca),
    expires: new Date(payload.expires).toISOString(),
    dials: dialBack === undefined ? "this site" : "the inviting site",
    known: host.state.get({ type: "peer", peer: payload.from }) !== null,
  };
}

function peerOf(payload: InvitationPayload, { dialBack }: JoinRequest): Peer {
  const { from, key, address, tls } = payload;
  return {
    name: from,
    key,
    ...(dialBack === undefined ? { dial: dialUrl(address, tls !== undefined) } : {}),
    ...(tls === undefined ? {} : { ca: tls.ca }),
  };
}

/** Asks one thing, and takes a good answer alone. */
async function askDesk(host: JoinHost, desk: JoinClient, talk: Talk): Promise<void> {
  const { payload, token, verb } = talk;
  const { from } = payload;
  const body = joinBody(host, talk);
  /** An answer may come to any that was asked. */
  const nonces = new Set<string>();
  const question = () => {
    const nonce = randomBytes(16).toString("hex");
    nonces.add(nonce);
    const message = { version: 1 as const, from: host.site, to: from, nonce, at: host.now(), verb, body };
    return sealJoin(message, host.key, token);
  };
  const expected = { from, to: host.site, key: payload.key, sender: `the site at ${payload.address}` };
  for (let late = 0; ; late++) {
    // Once we have joined, the invitation may be over for us, too.
    const answer = await desk.ask(question, { again: verb === "join" });
    const opened = openMessage(new TextDecoder().decode(answer), expected);
    // A second answer to what was asked twice before comes late.
    if (!nonces.has(opened.nonce) && late < MOST_LATE) continue;
    const said = JoinAnswer.safeParse(opened.body);
    if (!nonces.has(opened.nonce) || !said.success)
      throw new LeafmeshError("peer_refused", `${from} gave an answer that is none to what was asked`);
    if ("code" in said.data) throw errorOfRefusal(from, said.data);
    return;
  }
}

function joinBody({ trust }: JoinHost, { payload, request }: Talk): JoinBody {
  return {
    invitation: payload.id,
    ...(trust.tls === null ? {} : { ca: trust.tls.caPem }),
    ...(request.dialBack === undefined ? {} : { dialBack: request.dialBack }),
    ...(trust.servers === undefined ? {} : { servers: trust.servers }),
  };
}

async function waitLinked(host: JoinHost, peer: string, signal?: AbortSignal): Promise<boolean> {
  const end = performance.now() + LINKED_WITHIN_MS;
  while (performance.now() < end && signal?.aborted !== true) {
    if (host.verified(peer)) return true;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return host.verified(peer);
}
