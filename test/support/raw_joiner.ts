/** A site that shows an invitation by hand: it may stop between any two steps, or say what it should not. */
import { randomBytes } from "node:crypto";
import { openMessage } from "../../src/control/envelope.ts";
import { type InvitationPayload, openInvitation } from "../../src/control/invitation_token.ts";
import { sealJoin } from "../../src/control/join_message.ts";
import { joinAnswerSubject, joinSubject } from "../../src/model/names.ts";
import { type SigningKey, signingKeyOf } from "../../src/nats/keys.ts";
import { LeafClient } from "../../src/nats/leaf_client.ts";

export interface RawQuestion {
  readonly verb?: string;
  readonly from?: string;
  readonly to?: string;
  readonly at?: number;
  readonly nonce?: string;
  readonly body?: object;
  /** Signs the proof in the place of the token's key. */
  readonly proof?: SigningKey;
}

export class RawJoiner implements Disposable {
  readonly leaf: LeafClient;
  readonly payload: InvitationPayload;
  readonly #token: SigningKey;
  readonly #site: SigningKey;

  private constructor(leaf: LeafClient, payload: InvitationPayload, token: SigningKey, site: SigningKey) {
    this.leaf = leaf;
    this.payload = payload;
    this.#token = token;
    this.#site = site;
  }

  /** Logs in with a token, to speak as the owner of a site key. */
  static async open(token: string, site: SigningKey): Promise<RawJoiner> {
    const payload = openInvitation(token);
    const key = signingKeyOf(new TextEncoder().encode(payload.seed));
    const { tls } = payload;
    const leaf = await LeafClient.open({
      address: payload.address,
      key,
      deadlineMs: 20_000,
      ...(tls === undefined ? {} : { tls }),
    });
    leaf.subscribe(joinAnswerSubject(payload.from, payload.id));
    return new RawJoiner(leaf, payload, key, site);
  }

  /** The bytes of a question. */
  seal(question: RawQuestion = {}): string {
    const { id, from, to, tls } = this.payload;
    // Any CA will do as its own: who asks has no server.
    const ca = tls === undefined ? {} : { ca: tls.ca };
    return sealJoin(
      {
        version: 1,
        from: question.from ?? to,
        to: question.to ?? from,
        nonce: question.nonce ?? randomBytes(16).toString("hex"),
        at: question.at ?? Date.now(),
        verb: question.verb ?? "join",
        body: question.body ?? { invitation: id, ...ca },
      },
      this.#site,
      question.proof ?? this.#token,
    );
  }

  /** Sends bytes; resolves to the body of the answer. */
  async send(bytes: string, deadlineMs = 20_000): Promise<unknown> {
    const { id, from, to, key } = this.payload;
    const reply = joinAnswerSubject(from, id);
    const answer = await this.leaf.request(joinSubject(from, id), bytes, { reply, deadlineMs });
    const text = new TextDecoder().decode(answer);
    return openMessage(text, { from, to, key, sender: "the inviting site" }).body;
  }

  /** Asks until there is an answer: of refusals of one kind one a second is told. */
  async ask(question: RawQuestion = {}): Promise<unknown> {
    for (let i = 0; ; i++) {
      try {
        return await this.send(this.seal(question), 1500);
      } catch (error) {
        if (i >= 15 || this.leaf.failure !== null) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.leaf[Symbol.dispose]();
  }
}
