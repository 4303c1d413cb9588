/** Who becomes a peer by invitation, and who is one no more. */
import type { NatsConnection } from "@nats-io/transport-node";
import { describeCertificate, splitPem } from "../model/certificate.ts";
import type { SigningKey } from "../nats/keys.ts";
import type { SystemApi } from "../nats/system_api.ts";
import type { StateStore } from "./api.ts";
import { Invitations } from "./invitations.ts";
import { type JoinHost, joinSite, previewJoin } from "./join.ts";
import type {
  InvitationReport,
  Invited,
  InviteRequest,
  JoinPreview,
  JoinReport,
  JoinRequest,
  MembershipApi,
  RevokeReport,
} from "./join_api.ts";
import { type JoinAudit, JoinDesk } from "./join_desk.ts";
import type { LinkTrust } from "./link_trust.ts";
import { type RevokeHost, revokePeer } from "./revocations.ts";

export interface MembershipOptions {
  readonly site: string;
  readonly key: SigningKey;
  readonly nc: NatsConnection;
  readonly system: SystemApi;
  readonly state: StateStore;
  readonly trust: LinkTrust;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  /** Closes the door to a peer, whatever else of the state is not in force yet or cannot be, and ends its connection. */
  readonly cut: (peer: string) => Promise<void>;
  /** Whether others may be told of the key and CA of now. @throws {LeafmeshError} `conflict` */
  readonly requireSettled: () => void;
  /** Whether a peer has proved over its link that it holds the key that the state names. */
  readonly verified: (peer: string) => boolean;
  /** Whether the state has been in force once since the start. */
  readonly settled: () => boolean;
  readonly audit: JoinAudit;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Membership implements MembershipApi, AsyncDisposable {
  readonly #state: StateStore;
  readonly #log: MembershipOptions["log"];
  readonly #requireSettled: () => void;
  #joins = 0;
  readonly #invitations: Invitations;
  readonly #desk: JoinDesk;
  readonly #joinHost: JoinHost;
  readonly #revokeHost: RevokeHost;

  constructor(options: MembershipOptions) {
    const { site, key, nc, system, state, trust, configure, cut, verified, settled, log } = options;
    this.#state = state;
    this.#log = log;
    this.#requireSettled = options.requireSettled;
    const host = { site, key, state, trust, configure, verified, settled, now: Date.now, log };
    this.#invitations = new Invitations(host);
    this.#desk = new JoinDesk(nc, host, options.audit);
    this.#joinHost = { ...host, fingerprint };
    this.#revokeHost = {
      state,
      system,
      configure,
      cut,
      closeInvitations: (name) => this.#invitations.revokeOf(name),
      log,
    };
  }

  async invite(request: InviteRequest): Promise<Invited> {
    this.#requireSettled();
    return await this.#invitations.create(request);
  }

  /** Whether somebody is on the way to become a peer, and knows the key and CA of now alone. */
  get joining(): boolean {
    const open = this.#invitations.list().some(({ state }) => state === "open" || state === "joining");
    return open || this.#joins > 0;
  }

  invitations(): readonly InvitationReport[] {
    return this.#invitations.list();
  }

  async revokeInvitation(id: string): Promise<void> {
    await this.#invitations.revoke(id);
  }

  preview(request: JoinRequest): JoinPreview {
    return previewJoin(this.#joinHost, request);
  }

  async join(request: JoinRequest, signal?: AbortSignal): Promise<JoinReport> {
    this.#requireSettled();
    this.#joins++;
    try {
      return await joinSite(this.#joinHost, request, signal);
    } finally {
      this.#joins--;
    }
  }

  async revoke(peer: string, by?: string): Promise<RevokeReport> {
    return await revokePeer(this.#revokeHost, peer, by);
  }

  async forgive<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    const forgiven = keys.flatMap((key) => this.#state.get({ type: "revocation", key })?.value ?? []);
    for (const { key } of forgiven) await this.#state.remove({ type: "revocation", key }, undefined);
    try {
      const done = await work();
      for (const { key } of forgiven) this.#log("warn", `the revocation of key ${key} was taken back`);
      return done;
    } catch (error) {
      for (const one of forgiven) await this.#state.put({ type: "revocation", key: one.key }, one, undefined);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#desk[Symbol.asyncDispose]();
    await this.#invitations[Symbol.asyncDispose]();
  }
}

/** Of all that would be trusted: a second certificate must not come in unseen. */
function fingerprint(pem: string): string {
  return splitPem(pem)
    .map((one) => describeCertificate(one).fingerprint)
    .join(" and ");
}
