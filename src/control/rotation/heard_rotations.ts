/** What peers tell of their rotations: checked against what is trusted now, and put into their documents. */
import { describeCertificate, splitPem } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { HeardRotation, RotationStatement } from "../../model/rotation.ts";
import type { Peer } from "../../model/schema/site.ts";
import type { StateStore } from "../api.ts";
import type { RotationStore } from "./rotation_store.ts";
import { openRotation, refused } from "./statement.ts";

export interface HeardRotationsOptions {
  readonly site: string;
  readonly state: StateStore;
  readonly store: Pick<RotationStore, "heard" | "putHeard">;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  /** Makes changes in the name of a peer. */
  readonly as: <T>(peer: string, work: () => Promise<T>) => Promise<T>;
  /** The fingerprints of this site's own CAs. */
  readonly ownCas: () => readonly string[];
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class HeardRotations {
  readonly #options: HeardRotationsOptions;
  #queue: Promise<unknown> = Promise.resolve();

  constructor(options: HeardRotationsOptions) {
    this.#options = options;
  }

  /**
   * Takes what a peer says. When an announcement is answered, what is new is let in; when the old one is retired, it is out soon.
   * @throws {LeafmeshError} `request_invalid`
   */
  async take(from: string, body: unknown): Promise<{ readonly confirmed: true }> {
    const result = this.#queue.then(() => this.#take(from, body));
    this.#queue = result.catch(() => undefined);
    return await result;
  }

  async #take(from: string, body: unknown): Promise<{ readonly confirmed: true }> {
    const { site, state, store, configure, as, log } = this.#options;
    const found = state.get({ type: "peer", peer: from });
    if (found === null) throw refused("is of nobody who is a peer here");
    const { key, nextKey } = found.value;
    const trusted = nextKey === undefined ? [key] : [key, nextKey];
    const statement = openRotation(body, { site: from, to: site, trusted });
    const heard = heardOf(statement);
    requireNew(heard, await store.heard(from));
    const peer = this.#changed(found.value, statement);
    if (peer !== found.value) {
      try {
        await as(from, () => state.put({ type: "peer", peer: from }, peer, found.revision));
      } catch (error) {
        log("warn", `the rotation of ${from} cannot be taken: ${String(error)}`);
        throw error instanceof LeafmeshError && error.code !== "audit_unavailable"
          ? refused("cannot be taken, see the log there")
          : error;
      }
      log("info", said(from, statement));
    }
    // What is retired is cut off by the pass that the change brings, when this is answered.
    if (statement.step === "announce") await configure();
    await store.putHeard(from, heard);
    return { confirmed: true };
  }

  /** The peer as it is trusted from now on; the same one where nothing changes. */
  #changed(peer: Peer, { subject, step }: RotationStatement): Peer {
    return subject.what === "key"
      ? changedKey(peer, subject, step)
      : changedCa(peer, subject, step, (fingerprint) => this.#caProblem(peer.name, fingerprint));
  }

  /** Why a CA cannot be this peer's: another's certificates would pass for its own. */
  #caProblem(peer: string, fingerprint: string): string | null {
    const { state, ownCas } = this.#options;
    if (ownCas().includes(fingerprint)) return "names the CA of another site";
    const others = state.list("peer").filter(({ ref }) => ref.peer !== peer);
    const taken = others.some(({ document }) => fingerprintsOf(document.value).includes(fingerprint));
    return taken ? "names the CA of another site" : null;
  }
}

function changedKey(
  peer: Peer,
  { from, next }: Extract<RotationStatement["subject"], { what: "key" }>,
  step: RotationStatement["step"],
): Peer {
  const { key, nextKey, ...rest } = peer;
  if (from === next) throw refused("names one key twice");
  // It is over already.
  if (key === next && nextKey === undefined) return peer;
  if (step === "retire") {
    if (key !== from || nextKey !== next) throw refused("was not announced");
    return { ...rest, key: next };
  }
  if (key === from && nextKey === next) return peer;
  if (key === from && nextKey === undefined) return { ...rest, key, nextKey: next };
  // The one before was never retired here.
  if (nextKey === from) return { ...rest, key: from, nextKey: next };
  throw key === from
    ? refused("is to another key than the one that was announced: 'leafmesh peer trust' here decides")
    : refused("is not of the key that is trusted here");
}

function changedCa(
  peer: Peer,
  { from, next }: Extract<RotationStatement["subject"], { what: "ca" }>,
  step: RotationStatement["step"],
  problem: (fingerprint: string) => string | null,
): Peer {
  const info = describeCertificate(next);
  const trusted = splitPem(peer.ca ?? "");
  const of = (pem: string) => describeCertificate(pem).fingerprint;
  const news = trusted.find((pem) => of(pem) === info.fingerprint);
  if (step === "retire") {
    if (news === undefined) throw refused("was not announced");
    return trusted.length === 1 ? peer : { ...peer, ca: news };
  }
  if (splitPem(next).length !== 1) throw refused("names more than one CA");
  if (news !== undefined) return peer;
  const old = trusted.find((pem) => of(pem) === from);
  if (old === undefined) throw refused("is not of the CA that is trusted here");
  if (info.notAfter <= new Date()) throw refused("names a CA that has expired");
  const why = problem(info.fingerprint);
  if (why !== null) throw refused(why);
  return { ...peer, ca: old + next };
}

/** @throws {LeafmeshError} `request_invalid` for what was said before, and what goes back */
function requireNew(heard: HeardRotation, last: HeardRotation | null): void {
  if (last === null || heard.epoch > last.epoch) return;
  if (heard.epoch < last.epoch) throw refused("is older than one that was taken");
  if (heard.what !== last.what || heard.next !== last.next)
    throw refused("is another one than the one that was taken at its time");
  if (heard.step === "announce" && last.step === "retire") throw refused("is over");
}

function heardOf({ epoch, step, subject }: RotationStatement): HeardRotation {
  const next = subject.what === "key" ? subject.next : describeCertificate(subject.next).fingerprint;
  return { epoch, step, what: subject.what, next };
}

function fingerprintsOf({ ca = "" }: Peer): string[] {
  return splitPem(ca).map((pem) => describeCertificate(pem).fingerprint);
}

function said(from: string, { step, subject }: RotationStatement): string {
  const what = subject.what === "key" ? "site key" : "CA";
  const { next } = heardOf({ version: 1, site: from, to: from, epoch: 1, step, subject });
  return step === "announce"
    ? `${from} rotates its ${what}: ${next} is trusted beside the one before`
    : `${from} has rotated its ${what}: ${next} alone is trusted`;
}
