/**
 * Invitations of this site: made, listed, closed, and answered. One is used once: the first site key that shows it binds it.
 * It stays until the other side has said that it is done, so that a join that was cut in the middle can be repeated.
 */
import { randomBytes } from "node:crypto";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { InvitationDocument, isLeftOver, isOpen } from "../model/schema/invitation.ts";
import type { PeerDocument } from "../model/schema/site.ts";
import { parseAddress } from "../nats/addresses.ts";
import { createSigningKey, type SigningKey } from "../nats/keys.ts";
import type { StateStore } from "./api.ts";
import { sealInvitation } from "./invitation_token.ts";
import type { InvitationReport, Invited, InviteRequest } from "./join_api.ts";
import type { LinkTrust } from "./link_trust.ts";
import { MAX_CLOCK_SKEW_MS } from "./request_guard.ts";
import type { Versioned } from "./resource.ts";

/** An invitation lives at most this long. */
export const MAX_INVITATION_MS = 24 * 3600_000;
/** At once, so that accounts do not grow without a bound. */
const MAX_OPEN = 32;
/** Those that are over are listed for this long. */
const KEEP_ENDED_MS = 7 * 24 * 3600_000;
const SWEEP_EVERY_MS = 1000;
/** What a state says to a change that leaves it invalid. */
const REFUSED: readonly string[] = ["config_invalid", "policy_invalid", "conflict"];
/** Looks at an invitation that is written by others while it is closed. */
const MOST_TRIES = 20;
/** For how long a join that began in time, or that a start of this sidecar has cut, may go on: longer than links take to come up. */
export const FINISH_WITHIN_MS = 25_000;

export interface InvitationsHost {
  readonly site: string;
  readonly key: SigningKey;
  readonly state: StateStore;
  readonly trust: LinkTrust;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  /** Whether the peer has proved over its link that it holds the key that the state names. */
  readonly verified: (peer: string) => boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that is never set. Default: that of the process. */
  readonly steady?: () => number;
  /** Whether links can be up: the state has been in force once since the start. Default: they can. */
  readonly settled?: () => boolean;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Invitations implements AsyncDisposable {
  readonly #host: InvitationsHost;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #steady: () => number;
  /** Since when links can be up. */
  #settledAt: number | null = null;
  /** Peers whose documents cannot be removed or written: what was said of them, and the state that has refused it. */
  readonly #stuck = new Map<string, { readonly said: string; readonly refusedAt: number | null }>();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(host: InvitationsHost) {
    this.#host = host;
    this.#steady = host.steady ?? (() => performance.now());
    this.#settle();
    this.#timer = setInterval(() => void this.sweep(), SWEEP_EVERY_MS);
  }

  /**
   * Makes an invitation that is in force when this resolves.
   * @throws {LeafmeshError} `conflict` when the site is a peer or this site itself, `request_invalid` for a wrong lifetime or
   * where no address is known, `too_large` when too many are open
   */
  async create(request: InviteRequest): Promise<Invited> {
    const { site, key, state, trust, now } = this.#host;
    if (request.site === site) throw new LeafmeshError("conflict", `${site} is this site itself`);
    await this.#tidy();
    const there = state.get({ type: "peer", peer: request.site })?.value;
    if (there !== undefined && !isLeftOver(there, invitationOf(state, there)))
      throw new LeafmeshError(
        "conflict",
        `${request.site} is a peer already: remove it before it is invited`,
      );
    if (!(request.ttlMs >= 1000 && request.ttlMs <= MAX_INVITATION_MS))
      throw new LeafmeshError("request_invalid", "An invitation lives from 1s to 24h");
    const address = request.address ?? trust.address;
    if (address === null) {
      throw new LeafmeshError(
        "request_invalid",
        "The leaf listener takes all addresses, and none that others can dial is known: name it with --address, or set server.advertise",
      );
    }
    requireNamed(address, trust);
    if (this.#all().filter(isOpen).length >= MAX_OPEN)
      throw new LeafmeshError("too_large", `${MAX_OPEN} invitations are open already: revoke some`);
    const id = randomBytes(8).toString("hex");
    const token = createSigningKey();
    const expires = now() + request.ttlMs;
    const document: InvitationDocument = {
      id,
      site: request.site,
      key: token.publicKey,
      address,
      createdAt: new Date(now()).toISOString(),
      ...(request.by === undefined ? {} : { by: request.by }),
      expires: new Date(expires).toISOString(),
      state: { type: "open" },
    };
    const certificate = await trust.tls?.issueClient({
      commonName: `invitation ${id}`,
      // Who comes late by our clock alone hears that, and not that nobody speaks TLS with it.
      ttlMs: request.ttlMs + MAX_CLOCK_SKEW_MS,
    });
    await state.put({ type: "invitation", id }, document, null);
    await this.#host.configure();
    this.#host.log("info", `invited ${request.site} until ${document.expires} (invitation ${id})`);
    const text = sealInvitation(
      {
        version: 1,
        id,
        from: site,
        to: request.site,
        address,
        key: key.publicKey,
        seed: new TextDecoder().decode(token.seed()),
        expires,
        ...(trust.tls === null || certificate === undefined
          ? {}
          : { tls: { ca: trust.tls.caPem, cert: certificate.certPem, key: certificate.keyPem } }),
      },
      key,
    );
    return { ...invitationReport(document), token: text };
  }

  /** All that are open or were lately, the newest first. */
  list(): InvitationReport[] {
    return this.#all()
      .map(invitationReport)
      .sort((left, right) => (left.createdAt < right.createdAt ? 1 : -1));
  }

  /**
   * Closes one at once. Who has shown it, and has not finished its join, is no peer any more.
   * @throws {LeafmeshError} `not_found`, `conflict` when it is over already
   */
  async revoke(id: string): Promise<void> {
    const ref = { type: "invitation", id } as const;
    for (let tries = 1; ; tries++) {
      const found = this.#host.state.get(ref);
      if (found === null) throw new LeafmeshError("not_found", `There is no invitation '${id}'`);
      const { value, revision } = found;
      const joined = value.state.type === "claimed" && this.#host.verified(value.site);
      if (!isOpen(value) || joined) {
        const over = joined ? `used: revoke the peer ${value.site}` : invitationReport(value).state;
        throw new LeafmeshError("conflict", `Invitation ${id} is over: ${over}`);
      }
      const ended = this.#end(value, { type: "revoked", at: this.#time() }, revision);
      // Shown just now, or finished: it is looked at again.
      if (tries < MOST_TRIES ? await written(ended) : await ended.then(() => true)) break;
    }
    await this.#tidy();
    await this.#host.configure();
  }

  /** Closes all of a site. @returns how many */
  async revokeOf(site: string): Promise<number> {
    const open = this.#all().filter((one) => one.site === site && isOpen(one));
    for (const one of open) await this.#end(one, { type: "revoked", at: this.#time() });
    return open.length;
  }

  /** Ends what is over, and finishes joins whose link is up. */
  async sweep(): Promise<void> {
    this.#sweeping = this.#sweeping
      .then(() => this.#sweep())
      .catch((error: unknown) => {
        this.#host.log("error", `invitations: ${errorText(error)}`);
      });
    await this.#sweeping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#sweeping;
  }

  #all(): InvitationDocument[] {
    return this.#host.state.list("invitation").map(({ document }) => document.value);
  }

  async #sweep(): Promise<void> {
    this.#settle();
    for (const { id } of this.#all()) {
      // As it is now: while others were looked at it may have been shown, or finished.
      const found = this.#host.state.get({ type: "invitation", id });
      if (found !== null) await written(this.#look(found));
    }
    await this.#tidy();
  }

  #settle(): void {
    if (this.#settledAt === null && (this.#host.settled?.() ?? true)) this.#settledAt = this.#steady();
  }

  async #look({ value: one, revision }: Versioned<InvitationDocument>): Promise<void> {
    const { state, now, verified } = this.#host;
    const lateMs = now() - Date.parse(one.expires);
    const end = (ended: InvitationDocument["state"]) => this.#end(one, ended, revision);
    if (one.state.type === "claimed") {
      const waitedMs = this.#settledAt === null ? 0 : this.#steady() - this.#settledAt;
      const over = Math.min(lateMs, waitedMs) >= FINISH_WITHIN_MS;
      if (verified(one.site)) await end({ type: "used", at: this.#time(), key: one.state.peer.key });
      else if (over) await end({ type: "expired", at: this.#time() });
    } else if (one.state.type === "open") {
      if (lateMs >= 0) await end({ type: "expired", at: this.#time() });
    } else if (Date.parse(one.state.at) + KEEP_ENDED_MS <= now()) {
      // A peer that names it is told from one whose invitation is unknown.
      if (state.list("peer").some(({ document }) => document.value.invited === one.id)) return;
      await state.remove({ type: "invitation", id: one.id }, revision);
    }
  }

  /** Peers whose join is finished stay; those whose invitation has ended before are none already, and go. */
  async #tidy(): Promise<void> {
    const { state } = this.#host;
    for (const { ref, document } of state.list("peer")) {
      const { invited, key } = document.value;
      // One that is revoked stays in the list as that.
      if (invited === undefined || state.get({ type: "revocation", key }) !== null) continue;
      const type = invitationOf(state, document.value)?.state.type;
      if (type === "used") await this.#tidyOne(ref.peer, "has finished its join", keepPeer(state, ref.peer));
      else if (type !== "claimed" && this.#stuck.get(ref.peer)?.refusedAt !== state.desired().revision) {
        const removed = written(state.remove(ref, document.revision));
        await this.#tidyOne(ref.peer, "did not finish its join, and is no peer any more", removed);
      }
    }
  }

  async #tidyOne(peer: string, what: string, change: Promise<boolean>): Promise<void> {
    const { state, log } = this.#host;
    try {
      if (await change) log("info", `${peer} ${what}`);
      this.#stuck.delete(peer);
    } catch (error) {
      const said = `${peer} ${what}, but its document cannot be changed: ${errorText(error)}`;
      if (this.#stuck.get(peer)?.said !== said) log("warn", said);
      // What the state refuses it refuses until it is another one; a server that does not answer is asked again.
      const refused = error instanceof LeafmeshError && REFUSED.includes(error.code);
      this.#stuck.set(peer, { said, refusedAt: refused ? state.desired().revision : null });
    }
  }

  async #end(one: InvitationDocument, state: InvitationDocument["state"], revision?: number): Promise<void> {
    const ended = InvitationDocument.parse({ ...one, state });
    await this.#host.state.put({ type: "invitation", id: one.id }, ended, revision);
    this.#host.log("info", `invitation ${one.id} of ${one.site} is ${state.type}`);
  }

  #time(): string {
    return new Date(this.#host.now()).toISOString();
  }
}

/** Whoever dials an address that the certificate does not name is refused by its own server. @throws LeafmeshError `request_invalid` */
function requireNamed(address: string, { hosts }: LinkTrust): void {
  const host = parseAddress(address).host.toLowerCase();
  if (hosts === undefined || hosts.some((one) => one.toLowerCase() === host)) return;
  throw new LeafmeshError(
    "request_invalid",
    `The certificate of this site's links is not for '${host}', but for ${hosts.join(" and ")}: set server.advertise to what others dial`,
  );
}

/** The join of a peer is finished: it does not go with its invitation any more. @returns whether it did */
export async function keepPeer(state: StateStore, name: string): Promise<boolean> {
  const ref = { type: "peer", peer: name } as const;
  const found = state.get(ref);
  if (found?.value.invited === undefined) return false;
  const { invited: _, ...peer } = found.value;
  return await written(state.put(ref, peer, found.revision));
}

/** The invitation that a peer names: it goes with it. */
export function invitationOf(state: StateStore, { invited }: PeerDocument): InvitationDocument | undefined {
  return invited === undefined ? undefined : state.get({ type: "invitation", id: invited })?.value;
}

/** @returns whether it was written: somebody else may have changed the document just now */
export async function written(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (error instanceof LeafmeshError && ["precondition_failed", "not_found"].includes(error.code))
      return false;
    throw error;
  }
}

function invitationReport(one: InvitationDocument): InvitationReport {
  const { state } = one;
  return {
    id: one.id,
    site: one.site,
    address: one.address,
    createdAt: one.createdAt,
    expires: one.expires,
    by: one.by ?? null,
    state: state.type === "claimed" ? "joining" : state.type,
    since: state.type === "open" ? one.createdAt : state.at,
    usedBy: state.type === "used" ? state.key : state.type === "claimed" ? state.peer.key : null,
  };
}
