/** The connection of a site that shows an invitation: opened with the token's key, and again where it is cut. */
import { LeafmeshError } from "../model/errors.ts";
import { joinAnswerSubject, joinSubject } from "../model/names.ts";
import type { SigningKey } from "../nats/keys.ts";
import { LeafClient } from "../nats/leaf_client.ts";
import { sleep } from "../nats/wait.ts";
import type { InvitationPayload } from "./invitation_token.ts";

const CONNECT_WITHIN_MS = 5_000;
/** The inviting site checks and reloads its server meanwhile. */
const ANSWER_WITHIN_MS = 20_000;
const ASK_AGAIN_MS = 3_000;
/** A server that has just started knows no invitation until its sidecar has looked at its state. */
const START_WITHIN_MS = 5_000;
/** Before the next login: another connection with the same token is on, or ours was cut. */
const PAUSE_MS = 250;

export interface JoinClientOptions {
  readonly payload: InvitationPayload;
  /** The token's key. */
  readonly key: SigningKey;
  readonly signal?: AbortSignal;
}

/** A connection that is logged in. Disposing of it closes it. */
export class JoinClient implements Disposable {
  readonly #options: JoinClientOptions;
  #leaf: LeafClient;
  #closed = false;

  private constructor(options: JoinClientOptions, leaf: LeafClient) {
    this.#options = options;
    this.#leaf = leaf;
  }

  /**
   * Logs in with the token's key. Another connection with it must end first.
   * @throws {LeafmeshError} `peer_unreachable`, `peer_refused`, `invitation_used`
   */
  static async open(options: JoinClientOptions): Promise<JoinClient> {
    const end = performance.now() + CONNECT_WITHIN_MS;
    for (;;) {
      try {
        return new JoinClient(options, await logIn(options, CONNECT_WITHIN_MS));
      } catch (error) {
        if (!isBusy(error) || performance.now() > end) throw refusal(options.payload, error);
        await sleep(PAUSE_MS);
      }
    }
  }

  /**
   * Asks until there is an answer, for 20 s: the other sidecar may be starting again, and asking twice does no harm.
   * @param question gives a question to send, another one each time
   * @param again logs in once more where the connection is cut: the server cuts it when the invitation is used by another
   * site, and says so at the next login alone
   * @throws {LeafmeshError} `peer_unreachable` without an answer, `peer_refused`, `invitation_used`; the reason of the signal
   */
  async ask(question: () => string, { again }: { readonly again: boolean }): Promise<Uint8Array> {
    const { payload, signal } = this.#options;
    const end = performance.now() + ANSWER_WITHIN_MS;
    for (;;) {
      try {
        return await this.#leaf.request(joinSubject(payload.from, payload.id), question(), {
          reply: joinAnswerSubject(payload.from, payload.id),
          deadlineMs: ASK_AGAIN_MS,
          ...(signal === undefined ? {} : { signal }),
        });
      } catch (error) {
        signal?.throwIfAborted();
        if (!mayPass(error)) throw error;
        const cut = this.#leaf.failure !== null;
        if (performance.now() >= end || (cut && !again)) throw unanswered(payload, error);
        if (cut) this.#leaf = await this.#logInAgain(end, error);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#leaf[Symbol.dispose]();
  }

  /** The inviting server may be starting again, or may not have seen yet that the connection of before is over. */
  async #logInAgain(end: number, why: LeafmeshError): Promise<LeafClient> {
    const { payload, signal } = this.#options;
    const known = performance.now() + START_WITHIN_MS;
    for (;;) {
      await sleep(PAUSE_MS);
      const leftMs = end - performance.now();
      if (this.#closed || leftMs <= 0) throw unanswered(payload, why);
      try {
        const leaf = await logIn(this.#options, Math.min(CONNECT_WITHIN_MS, leftMs));
        if (!this.#closed) return leaf;
        leaf[Symbol.dispose]();
      } catch (error) {
        signal?.throwIfAborted();
        const refused = mayPass(error) && error.code === "login_refused" && !isBusy(error);
        if (!mayPass(error) || (refused && performance.now() >= known)) throw refusal(payload, error);
      }
    }
  }
}

/** @throws {LeafmeshError} as `LeafClient.open()` */
async function logIn({ payload, key, signal }: JoinClientOptions, deadlineMs: number): Promise<LeafClient> {
  const { address, from, id, to, tls } = payload;
  const leaf = await LeafClient.open({
    address,
    key,
    name: to,
    deadlineMs,
    ...(tls === undefined ? {} : { tls: { ca: tls.ca, cert: tls.cert, key: tls.key } }),
    ...(signal === undefined ? {} : { signal }),
  });
  leaf.subscribe(joinAnswerSubject(from, id));
  return leaf;
}

/** Silence, or a connection that has ended: the next try may do better. */
function mayPass(error: unknown): error is LeafmeshError {
  return error instanceof LeafmeshError && ["peer_unreachable", "login_refused"].includes(error.code);
}

/** Whether the server has refused one connection too many; any other refusal is for good. */
function isBusy(error: unknown): boolean {
  const refused = error instanceof LeafmeshError && error.code === "login_refused";
  return refused && /maximum .*connections/i.test(error.message);
}

/** Why there was no login, in words for who has the token. */
function refusal({ from }: InvitationPayload, error: unknown): unknown {
  if (!mayPass(error)) return error;
  const because = (code: "peer_unreachable" | "invitation_used", text: string) =>
    new LeafmeshError(code, `${text} (${error.message})`, { cause: error });
  if (error.code === "peer_unreachable") return because(error.code, `${from} cannot be asked`);
  if (isBusy(error)) {
    return because(
      "invitation_used",
      `${from} is being asked with this invitation already: by another site, or by a try of before, which ends within minutes`,
    );
  }
  return because(
    "invitation_used",
    `${from} does not know this invitation any more: it was used, it was revoked, it has expired by the clock there, or its server has just started. Try once more, then ask for a new one`,
  );
}

function unanswered({ from, expires }: InvitationPayload, cause: LeafmeshError): LeafmeshError {
  return new LeafmeshError(
    "peer_unreachable",
    `${from} did not answer the join: is its sidecar running? Join again with the same token, it is good until ${new Date(expires).toISOString()} (${cause.message})`,
    { cause },
  );
}
