/**
 * Invitations of this site: made, listed, closed, and answered. One is used once: the first site key that shows it binds it.
 * It stays until the other side has said that it is done, so that a join that was cut in the middle can be repeated.
 */
import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { InvitationDocument } from "../model/schema/invitation.ts";
import type { Peer } from "../model/schema/site.ts";
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
/** A join that began in time may end. */
const FINISH_WITHIN_MS = 5_000;
/** Instead of the revision of a peer that an invitation has made: the peer was there before. */
export const NOT_MADE = 0;

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
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

type Claim = Extract<InvitationDocument["state"], { type: "claimed" }>;

export class Invitations implements AsyncDisposable {
  readonly #host: InvitationsHost;
  readonly #timer: ReturnType<typeof setInterval>;
  #sweeping: Promise<void> = Promise.resolve();

  constructor(host: InvitationsHost) {
    this.#host = host;
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
    if (state.get({ type: "peer", peer: request.site }) !== null)
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
    if (this.#all().filter(({ state }) => isOpen(state.type)).length >= MAX_OPEN)
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

  /** Closes one at once. @throws {LeafmeshError} `not_found`, `conflict` when it is over already */
  async revoke(id: string): Promise<void> {
    const found = this.#host.state.get({ type: "invitation", id });
    if (found === null) throw new LeafmeshError("not_found", `There is no invitation '${id}'`);
    if (!isOpen(found.value.state.type))
      throw new LeafmeshError("conflict", `Invitation ${id} is over: ${invitationReport(found.value).state}`);
    const { value } = found;
    if (value.state.type === "claimed" && !this.#host.verified(value.state.peer.name))
      await this.#takeBack(value.state);
    await this.#end(value, { type: "revoked", at: this.#time() }, found.revision);
    await this.#host.configure();
  }

  /** Closes all of a site. @returns how many */
  async revokeOf(site: string): Promise<number> {
    const open = this.#all().filter((one) => one.site === site && isOpen(one.state.type));
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
    for (const { id } of this.#all()) {
      try {
        await this.#sweepOne(id);
      } catch (error) {
        // Somebody has changed it just now: the next look finds it as it is.
        if (!(error instanceof LeafmeshError && error.code === "precondition_failed")) throw error;
      }
    }
  }

  async #sweepOne(id: string): Promise<void> {
    const { state, now, verified } = this.#host;
    const ref = { type: "invitation", id } as const;
    // As it is now: while others were looked at it may have been shown, or finished.
    const found = state.get(ref);
    if (found === null) return;
    const { value: one, revision } = found;
    const lateMs = now() - Date.parse(one.expires);
    if (one.state.type === "claimed") {
      if (verified(one.state.peer.name)) {
        await this.#end(one, { type: "used", at: this.#time(), key: one.state.peer.key }, revision);
      } else if (lateMs >= FINISH_WITHIN_MS) {
        await this.#takeBack(one.state);
        await this.#end(one, { type: "expired", at: this.#time() }, revision);
      }
    } else if (one.state.type === "open") {
      if (lateMs >= 0) await this.#end(one, { type: "expired", at: this.#time() }, revision);
    } else if (Date.parse(one.state.at) + KEEP_ENDED_MS <= now()) {
      await state.remove(ref, revision);
    }
  }

  /** Removes the peer that a join has made which was never finished: nothing half-trusted stays. */
  async #takeBack(claim: Claim): Promise<void> {
    const ref = { type: "peer", peer: claim.peer.name } as const;
    const found = this.#host.state.get(ref);
    // Somebody has changed it since: it is theirs.
    if (found === null || !hasMade(claim, found)) return;
    try {
      await this.#host.state.remove(ref, found.revision);
      this.#host.log("warn", `${claim.peer.name} did not finish its join: it is no peer any more`);
    } catch (error) {
      this.#host.log("warn", `${claim.peer.name} did not finish its join, but is kept: ${errorText(error)}`);
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

/** Whether a peer as it is now is what an invitation has made of the site that has shown it. */
export function hasMade(state: InvitationDocument["state"], peer: Versioned<Peer>): boolean {
  if (state.type !== "claimed") return false;
  // Its sidecar was killed before it had noted what it made.
  if (state.made === undefined) return isDeepStrictEqual(peer.value, state.peer);
  return state.made === peer.revision;
}

/** Whether it still lets somebody in. */
export function isOpen(type: InvitationDocument["state"]["type"]): boolean {
  return type === "open" || type === "claimed";
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
