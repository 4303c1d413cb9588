/** The connection of a site that shows an invitation: opened with the token's key, and once more where it is cut. */
import { LeafmeshError } from "../model/errors.ts";
import { joinAnswerSubject, joinSubject } from "../model/names.ts";
import type { SigningKey } from "../nats/keys.ts";
import { LeafClient } from "../nats/leaf_client.ts";
import type { InvitationPayload } from "./invitation_token.ts";

const CONNECT_WITHIN_MS = 5_000;
/** The inviting site checks and reloads its server meanwhile. */
const ANSWER_WITHIN_MS = 20_000;
const ASK_AGAIN_MS = 3_000;
/** While another connection with the same token is on. */
const BUSY_PAUSE_MS = 250;

/** A connection that is logged in. Disposing of it closes it. */
export class JoinClient implements Disposable {
  readonly #payload: InvitationPayload;
  readonly #key: SigningKey;
  readonly #signal: AbortSignal | undefined;
  #leaf: LeafClient;

  private constructor(
    payload: InvitationPayload,
    key: SigningKey,
    signal: AbortSignal | undefined,
    leaf: LeafClient,
  ) {
    this.#payload = payload;
    this.#key = key;
    this.#signal = signal;
    this.#leaf = leaf;
  }

  /**
   * Logs in with the token's key. Another connection with it must end first.
   * @throws {LeafmeshError} `peer_unreachable`, `peer_refused`, `invitation_used`
   */
  static async open(payload: InvitationPayload, key: SigningKey, signal?: AbortSignal): Promise<JoinClient> {
    return new JoinClient(payload, key, signal, await logIn(payload, key, signal));
  }

  /**
   * Asks until there is an answer: the other sidecar may be starting again, and asking twice does no harm.
   * @param question a question to send, another one each time
   * @param again logs in once more where the connection is cut: the server ends it when the invitation is used by another
   * site, and says so at the next login alone
   * @throws {LeafmeshError} as {@link open}
   */
  async ask(question: () => string, { again }: { readonly again: boolean }): Promise<Uint8Array> {
    const { from, id } = this.#payload;
    const end = performance.now() + ANSWER_WITHIN_MS;
    for (;;) {
      try {
        return await this.#leaf.request(joinSubject(from, id), question(), {
          reply: joinAnswerSubject(from, id),
          deadlineMs: ASK_AGAIN_MS,
          ...(this.#signal === undefined ? {} : { signal: this.#signal }),
        });
      } catch (error) {
        if (!(error instanceof LeafmeshError)) throw error;
        const cut = this.#leaf.failure !== null;
        const silent = error.code === "peer_unreachable";
        const over = performance.now() >= end || (cut && !again);
        if (over) throw silent ? unanswered(this.#payload, error) : error;
        if (!silent && error.code !== "login_refused") throw error;
        if (cut) this.#leaf = await logIn(this.#payload, this.#key, this.#signal);
      }
    }
  }

  [Symbol.dispose](): void {
    this.#leaf[Symbol.dispose]();
  }
}

async function logIn(
  payload: InvitationPayload,
  key: SigningKey,
  signal: AbortSignal | undefined,
): Promise<LeafClient> {
  const { address, from, id, to, tls } = payload;
  const end = performance.now() + CONNECT_WITHIN_MS;
  for (;;) {
    try {
      const leaf = await LeafClient.open({
        address,
        key,
        name: to,
        deadlineMs: CONNECT_WITHIN_MS,
        ...(tls === undefined ? {} : { tls: { ca: tls.ca, cert: tls.cert, key: tls.key } }),
        ...(signal === undefined ? {} : { signal }),
      });
      leaf.subscribe(joinAnswerSubject(from, id));
      return leaf;
    } catch (error) {
      if (!(error instanceof LeafmeshError)) throw error;
      if (error.code === "peer_unreachable") {
        throw new LeafmeshError("peer_unreachable", `${from} cannot be asked: ${error.message}`, {
          cause: error,
        });
      }
      if (error.code !== "login_refused") throw error;
      // The server's words for one connection too many; any other refusal is for good.
      const busy = /maximum .*connections/i.test(error.message);
      if (!busy || performance.now() > end) {
        throw new LeafmeshError(
          "invitation_used",
          `${from} does not know this invitation any more: it was used, it was revoked, or it has expired by the clock there. Ask for a new one (${error.message})`,
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
    }
  }
}

function unanswered({ from, expires }: InvitationPayload, cause: LeafmeshError): LeafmeshError {
  return new LeafmeshError(
    "peer_unreachable",
    `${from} did not answer the join: is its sidecar running? Join again with the same token, it is good until ${new Date(expires).toISOString()} (${cause.message})`,
    { cause },
  );
}
