/** Answers the sites that show an invitation: checks who they are, makes the peer, and lets the link in. */
import { isDeepStrictEqual } from "node:util";
import type { Msg, NatsConnection, Subscription } from "@nats-io/transport-node";
import { errorText, LeafmeshError } from "../model/errors.ts";
import { joinSubject } from "../model/names.ts";
import { type InvitationDocument, isLeftOver, isOpen, letsIn } from "../model/schema/invitation.ts";
import type { Peer } from "../model/schema/site.ts";
import { JOIN_MAX_BYTES } from "../nats/config_join.ts";
import { sealMessage } from "./envelope.ts";
import { FINISH_WITHIN_MS, type InvitationsHost, invitationOf, keepPeer, written } from "./invitations.ts";
import { JoinBody, openJoin, refusalOf } from "./join_message.ts";
import { dialUrl } from "./link_trust.ts";
import { RequestGuard } from "./request_guard.ts";
import type { Versioned } from "./resource.ts";
import { requireNotRevokedKey } from "./revocations.ts";

/** How the desk tells of the sites that show invitations. */
export interface JoinAudit {
  /** What `work` changes was asked for by this site, with this invitation. */
  readonly as: <T>(site: string, invitation: string, work: () => Promise<T>) => Promise<T>;
  readonly refused: (site: string, invitation: string, why: string) => void;
}

const NO_NONCE = "0".repeat(32);
/** A join costs more than a question among peers. */
const UNITS = 10;

export class JoinDesk implements AsyncDisposable {
  readonly #host: InvitationsHost;
  readonly #audit: JoinAudit;
  readonly #guard: RequestGuard;
  readonly #subscription: Subscription;
  /** Joins come one after another: each finds what the one before it left. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(nc: NatsConnection, host: InvitationsHost, audit: JoinAudit) {
    this.#host = host;
    this.#audit = audit;
    this.#guard = new RequestGuard(host.now);
    this.#subscription = nc.subscribe(joinSubject(host.site, "*"), {
      callback: (error, message) => {
        if (error === null) this.#hear(message);
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription.unsubscribe();
    await this.#queue;
  }

  #hear(request: Msg): void {
    const id = request.subject.split(".").at(-1) ?? "";
    const found = this.#host.state.get({ type: "invitation", id });
    if (found === null || request.data.length > JOIN_MAX_BYTES) return;
    if (this.#guard.admit(id, request.data.length, UNITS) !== "yes") return;
    this.#queue = this.#queue
      .then(() => this.#answer(request, id))
      .catch((error: unknown) => this.#host.log("error", `join: ${errorText(error)}`))
      .finally(() => {
        this.#guard.done(id);
        this.#guard.keep(new Set(this.#host.state.list("invitation").map(({ ref }) => ref.id)));
      });
  }

  async #answer(request: Msg, id: string): Promise<void> {
    const { site, key, state, log } = this.#host;
    const found = state.get({ type: "invitation", id });
    if (found === null) return;
    const to = found.value.site;
    let nonce = NO_NONCE;
    const reply = (body: unknown) =>
      request.respond(
        sealMessage({ version: 1, from: site, to, nonce, at: Date.now(), verb: "answer", body }, key),
      );
    try {
      const { key: siteKey, message } = openJoin(request.string(), {
        from: to,
        to: site,
        tokenKey: found.value.key,
      });
      nonce = message.nonce;
      const stale = this.#guard.fresh(id, message, to);
      if (stale !== null) throw new LeafmeshError("request_invalid", stale);
      const body = JoinBody.safeParse(message.body);
      if (!body.success || body.data.invitation !== id)
        throw new LeafmeshError("request_invalid", "the request to join is not for this invitation");
      switch (message.verb) {
        case "join":
          await this.#audit.as(to, id, () => this.#join(found, siteKey, body.data));
          reply({ joined: true });
          return;
        case "joined":
          await this.#audit.as(to, id, () =>
            this.#joined(found, siteKey, body.data, () => reply({ joined: true })),
          );
          return;
        default:
          throw new LeafmeshError("request_invalid", "there is no such verb");
      }
    } catch (error) {
      const why = errorText(error);
      log("warn", `a site that shows the invitation of ${to} is refused: ${why}`);
      this.#audit.refused(to, id, why);
      if (this.#guard.mayAnswer(id, error instanceof LeafmeshError ? error.code : "internal"))
        reply(refusalOf(error));
    }
  }

  /** Binds the invitation to the key, makes the peer, and has the server let it in. */
  async #join(found: Versioned<InvitationDocument>, key: string, body: JoinBody): Promise<void> {
    const { state, trust } = this.#host;
    const invitation = this.#requireUsable(found.value, key);
    if ((trust.tls === null) !== (body.ca === undefined))
      throw new LeafmeshError(
        "conflict",
        `the links of this site are ${trust.tls === null ? "plain" : "TLS"}, yours are not: make both the same (server.links)`,
      );
    const peer: Peer = { name: invitation.site, key, ...caOf(body), ...serversOf(body) };
    requireNotRevokedKey(state, key);
    const ref = { type: "peer", peer: peer.name } as const;
    const there = state.get(ref);
    if (
      there !== null &&
      there.value.key !== key &&
      !isLeftOver(there.value, invitationOf(state, there.value))
    )
      throw new LeafmeshError("conflict", `${peer.name} is a peer already, with another key`);
    this.#requireValid(peer);
    const made = await this.#makePeer(found, peer);
    try {
      await this.#host.configure();
    } catch (error) {
      // What the server cannot read would keep every later change out.
      if (made !== null) await this.#removeMade(ref, made);
      throw error;
    }
  }

  /**
   * Binds the invitation to who has shown it, and makes the peer, which names the invitation until the join is finished: where
   * it ends before that, whatever cuts this short, the peer is none.
   * @returns the revision of a peer that was not there before
   * @throws {LeafmeshError} `invitation_used` when the invitation is bound or closed meanwhile
   */
  async #makePeer(
    { value: invitation, revision }: Versioned<InvitationDocument>,
    peer: Peer,
  ): Promise<number | null> {
    const { state, now } = this.#host;
    const { id } = invitation;
    const ref = { type: "peer", peer: peer.name } as const;
    const there = state.get(ref);
    // The first that gets this written has the invitation; for any other its revision is another one.
    if (invitation.state.type === "open") {
      const claimed = { type: "claimed", at: new Date(now()).toISOString(), peer } as const;
      await unlessTaken(state.put({ type: "invitation", id }, { ...invitation, state: claimed }, revision));
    }
    const left = there !== null && isLeftOver(there.value, invitationOf(state, there.value));
    const known = left ? null : (there?.value ?? null);
    // A peer that is the operator's own stays so.
    const invited = known === null || known.invited !== undefined ? { invited: id } : {};
    const value = { ...(known ?? peer), ...caOf(peer), ...invited };
    if (there !== null && isDeepStrictEqual(value, there.value)) return null;
    const made = await state.put(ref, value, there?.revision ?? null);
    const after = state.get({ type: "invitation", id });
    if (after !== null && letsIn(after.value)) return there === null ? made : null;
    if ("invited" in value) await this.#removeMade(ref, made);
    throw taken();
  }

  async #removeMade(ref: { readonly type: "peer"; readonly peer: string }, made: number): Promise<void> {
    try {
      await written(this.#host.state.remove(ref, made));
    } catch (error) {
      this.#host.log("error", `${ref.peer} could not join, and cannot be removed now: ${errorText(error)}`);
    }
  }

  /** The other side has made us a peer, too: the invitation is used. */
  async #joined(
    found: Versioned<InvitationDocument>,
    key: string,
    body: JoinBody,
    answer: () => void,
  ): Promise<void> {
    const { state, now, trust } = this.#host;
    const invitation = this.#requireUsable(found.value, key, FINISH_WITHIN_MS);
    const ref = { type: "peer", peer: invitation.site } as const;
    const peer = state.get(ref);
    if (invitation.state.type !== "claimed" || peer === null || peer.value.key !== key)
      throw new LeafmeshError("request_invalid", "the invitation was not shown before");
    // Not before: who is dialled must know who dials.
    if (body.dialBack !== undefined) {
      const dialled = { ...peer.value, dial: dialUrl(body.dialBack, trust.tls !== null) };
      this.#requireValid(dialled);
      const revision = await state.put(ref, dialled, peer.revision);
      try {
        await this.#host.configure();
      } catch (error) {
        // What the server cannot read would keep every later change out, too.
        await state.put(ref, peer.value, revision);
        throw error;
      }
    }
    const invitationRef = { type: "invitation", id: invitation.id } as const;
    const after = state.get(invitationRef);
    // The link was faster to tell it.
    const told = after?.value.state.type === "used" && after.value.state.key === key;
    // Whoever has closed it meanwhile is told that nobody was let in.
    if (after?.revision !== found.revision && !told) throw taken();
    answer();
    const used = { type: "used", at: new Date(now()).toISOString(), key } as const;
    if (!told) await unlessTaken(state.put(invitationRef, { ...invitation, state: used }, found.revision));
    await keepPeer(state, peer.value.name);
    this.#host.log("info", `${invitation.site} has joined, with key ${key}`);
  }

  /** @param graceMs for how long after it has expired it is taken, still */
  #requireUsable(invitation: InvitationDocument, key: string, graceMs = 0): InvitationDocument {
    const { state } = invitation;
    if (!isOpen(invitation) || (state.type === "claimed" && state.peer.key !== key))
      throw new LeafmeshError("invitation_used", "the invitation was used by another site, or is over");
    if (Date.parse(invitation.expires) + graceMs <= this.#host.now())
      throw new LeafmeshError("invitation_expired", `the invitation has expired at ${invitation.expires}`);
    return invitation;
  }

  #requireValid(peer: Peer): void {
    try {
      this.#host.state.check({ type: "peer", peer: peer.name }, peer);
    } catch (error) {
      this.#host.log("warn", `${peer.name} cannot be made a peer: ${errorText(error)}`);
      throw new LeafmeshError(
        "conflict",
        `${peer.name} cannot be made a peer with this key, see the log there`,
      );
    }
  }
}

const taken = () =>
  new LeafmeshError("invitation_used", "the invitation was used by another site, or closed, just now");

/** A write of an invitation that another one was faster to write. @throws {LeafmeshError} `invitation_used` */
async function unlessTaken(write: Promise<number>): Promise<void> {
  try {
    await write;
  } catch (error) {
    throw error instanceof LeafmeshError && error.code === "precondition_failed" ? taken() : error;
  }
}

function caOf({ ca }: Pick<Peer, "ca">): Partial<Peer> {
  return ca === undefined ? {} : { ca };
}

function serversOf({ servers }: JoinBody): Partial<Peer> {
  return servers === undefined ? {} : { servers };
}
