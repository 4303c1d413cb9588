/**
 * Rotations of this site: of the certificate of its links, of its CA, of its key. How far one is stands in the state bucket and in the
 * files of keys, so that a sidecar that is killed at any time goes on where it was; every step can be made twice.
 *
 * Of a CA or key the peers are told first, and trust both; when all have confirmed, the new one takes the place of the old one
 * here; then they are told to drop the old one. A peer that does not answer holds that up, until it does or it is ended without it.
 */
import type { AlarmPort } from "../../model/alarms.ts";
import { describeCertificate } from "../../model/certificate.ts";
import { errorText, LeafmeshError, unreachable } from "../../model/errors.ts";
import type {
  Rotation,
  RotationApi,
  RotationKind,
  RotationReport,
  RotationRequest,
} from "../../model/rotation.ts";
import type { Peer } from "../../model/schema/site.ts";
import {
  isSwitched,
  isThere,
  lost,
  nameOf,
  type RotatingParts,
  rotationMessage,
} from "./rotation_message.ts";
import { describeRotation, type PeerAnswers, waitingPeers } from "./rotation_report.ts";
import type { RotationStore } from "./rotation_store.ts";

const EVERY_MS = 1000;
/** A peer's server reloads meanwhile. */
const ANNOUNCED_WITHIN_MS = 10_000;
/** What retires the old one may cut the link that the answer comes by. */
const RETIRED_WITHIN_MS = 3000;
/** A link that was cut to be made anew; the next one is not touched before. */
const LINKED_WITHIN_MS = 15_000;
const LOOK_EVERY_MS = 50;
/** A rotation that waits for longer is told as an alarm. */
const HELD_AFTER_MS = 10 * 60_000;
const KINDS = ["certificate", "ca", "key"] as const;

export interface RotationsOptions extends RotatingParts {
  readonly store: Pick<RotationStore, "rotation" | "putRotation">;
  /** Peers that can be linked with: none that is revoked. */
  readonly peers: () => readonly Peer[];
  /** Whether a site that shows an invitation, or one that this site joins, may be told of a key or CA of now. */
  readonly joining: () => boolean;
  /** Asks a peer's sidecar. @throws {LeafmeshError} `peer_unreachable`, `peer_refused` */
  readonly ask: (peer: string, body: unknown, withinMs: number) => Promise<unknown>;
  /** Brings the configuration of the state of now into force. */
  readonly configure: () => Promise<void>;
  /** Cuts the link of a peer: it is made anew. @returns whether there was one */
  readonly relink: (peer: string) => Promise<boolean>;
  readonly linked: (peer: string) => Promise<boolean>;
  /** Tells the trail. @throws {LeafmeshError} `audit_unavailable` */
  readonly tell: (
    operation: string,
    change: { readonly before: unknown; readonly after: unknown },
  ) => Promise<void>;
  readonly alarms: AlarmPort;
  /** Whether this sidecar is the one that rotates; default yes. */
  readonly leads?: () => boolean;
  readonly now: () => Date;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class Rotations implements RotationApi, AsyncDisposable {
  readonly #options: RotationsOptions;
  readonly #rotations = new Map<RotationKind, Rotation>();
  /** What each peer has answered last in the rotation that is open. */
  readonly #answers: PeerAnswers = new Map();
  readonly #ended = new AbortController();
  /** Fails when this ends. */
  readonly #stopped: Promise<never>;
  #queue: Promise<unknown> = Promise.resolve();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #failure: string | null = null;

  private constructor(options: RotationsOptions) {
    this.#options = options;
    this.#stopped = new Promise((_, reject) => {
      this.#ended.signal.addEventListener("abort", () =>
        reject(new LeafmeshError("timeout", "The sidecar stops")),
      );
    });
    this.#stopped.catch(() => undefined);
  }

  /** Reads what is kept, and goes on with what is open. */
  static async open(options: RotationsOptions): Promise<Rotations> {
    const rotations = new Rotations(options);
    for (const what of KINDS) {
      const kept = await options.store.rotation(what);
      if (kept !== null) rotations.#rotations.set(what, kept);
    }
    rotations.#soon(0);
    return rotations;
  }

  list(): RotationReport[] {
    return [...this.#rotations.values()]
      .toSorted((left, right) => (left.startedAt < right.startedAt ? 1 : -1))
      .map((one) => this.#report(one));
  }

  /** What is open; `null`: nothing. */
  get open(): Rotation | null {
    return [...this.#rotations.values()].find(({ phase }) => phase !== "done") ?? null;
  }

  async start(request: RotationRequest): Promise<RotationReport> {
    const started = await this.#serial(async () => {
      const open = this.open;
      if (open?.what === request.what) return open;
      this.#requirePossible(request, open);
      const { now } = this.#options;
      const last = Math.max(0, ...[...this.#rotations.values()].map(({ epoch }) => epoch));
      const { from, next } = await this.#prepare(request.what);
      const rotation: Rotation = {
        what: request.what,
        epoch: Math.max(last + 1, now().getTime()),
        phase: request.what === "certificate" ? "switch" : "announce",
        startedAt: now().toISOString(),
        endedAt: null,
        by: request.by ?? null,
        from,
        next,
        only: request.peers === undefined ? null : [...request.peers],
        peers: {},
      };
      this.#answers.clear();
      await this.#keep(rotation);
      this.#options.log("info", `rotation of the ${nameOf(request.what)} begins: ${from} to ${next}`);
      return rotation;
    });
    this.#soon(0);
    return this.#report(started);
  }

  async settled(what: RotationKind, waitMs: number): Promise<RotationReport | null> {
    const end = performance.now() + waitMs;
    const isOpen = () => this.#rotations.get(what)?.phase !== "done";
    while (this.#rotations.has(what) && isOpen() && performance.now() < end && !this.#ended.signal.aborted)
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    const found = this.#rotations.get(what);
    return found === undefined ? null : this.#report(found);
  }

  async finish(what: RotationKind): Promise<RotationReport> {
    const open = await this.#serial(async () => {
      const open = this.open;
      if (open === null || open.what !== what)
        throw new LeafmeshError("not_found", `No rotation of the ${nameOf(what)} is open`);
      if (!(await isThere(this.#options, open))) {
        this.#options.log("warn", `the rotation of the ${nameOf(what)} is given up: ${open.next} is lost`);
        return await this.#keep({ ...open, phase: "done", endedAt: this.#options.now().toISOString() });
      }
      const without = this.#waiting(open);
      for (const peer of without)
        this.#options.log("warn", `the rotation of the ${nameOf(what)} goes on without ${peer}`);
      const skipped = Object.fromEntries(without.map((peer) => [peer, "skipped" as const]));
      return await this.#keep({ ...open, peers: { ...open.peers, ...skipped } });
    });
    this.#soon(0);
    return this.#report(open);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#queue;
  }

  #report(rotation: Rotation): RotationReport {
    return describeRotation(this.#options.site, rotation, {
      peers: this.#options.peers().map(({ name }) => name),
      answers: this.open?.what === rotation.what ? this.#answers : new Map(),
      failure: this.#failure,
    });
  }

  #requirePossible({ what, peers = [] }: RotationRequest, open: Rotation | null): void {
    const { pki, joining } = this.#options;
    if (open !== null) {
      throw new LeafmeshError(
        "conflict",
        `A rotation of the ${nameOf(open.what)} is open: 'leafmesh peer rotate --status' says whom it waits for`,
      );
    }
    if (what !== "key" && pki === null)
      throw new LeafmeshError("conflict", "Links of this site are plain: they have no certificates");
    if (what !== "certificate" && peers.length > 0) {
      throw new LeafmeshError(
        "request_invalid",
        `The ${nameOf(what)} is the whole site's: it rotates for all peers or for none`,
      );
    }
    const known = new Set(this.#options.peers().map(({ name }) => name));
    const unknown = peers.find((peer) => !known.has(peer));
    if (unknown !== undefined) throw new LeafmeshError("not_found", `There is no peer '${unknown}'`);
    if (what !== "certificate" && joining()) {
      throw new LeafmeshError(
        "conflict",
        `An invitation is open, or this site is joining another one: whoever uses it would know the old ${nameOf(what)} alone. Wait for it, or close it ('leafmesh peer uninvite')`,
      );
    }
  }

  /** Makes what is new. It is in use by nobody yet. */
  async #prepare(what: RotationKind): Promise<Pick<Rotation, "from" | "next">> {
    const { key, pki } = this.#options;
    switch (what) {
      case "key":
        return { from: key.current.publicKey, next: (await key.prepare()).publicKey };
      case "ca": {
        const next = describeCertificate((await pki?.prepareCa()) ?? "").fingerprint;
        return { from: pki?.fingerprint ?? "", next };
      }
      case "certificate": {
        const fingerprint = pki?.link.fingerprint ?? "";
        // It is another one when it is made.
        return { from: fingerprint, next: fingerprint };
      }
      default:
        return unreachable(what);
    }
  }

  #soon(afterMs: number): void {
    if (this.#ended.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#serial(() => this.#pass());
    }, afterMs);
  }

  /** Goes as far as it can be gone now. */
  async #pass(): Promise<void> {
    const { leads, log } = this.#options;
    if (leads?.() === false) return this.#soon(EVERY_MS);
    try {
      for (;;) {
        const open = this.open;
        if (this.#ended.signal.aborted) return;
        if (open === null) return this.#tellHeld();
        const after = await this.#step(open);
        this.#failure = null;
        if (after === null) break;
        await this.#keep(after);
        if (after.phase === "done") log("info", `the rotation of the ${nameOf(after.what)} is done`);
      }
    } catch (error) {
      const text = errorText(error);
      if (text !== this.#failure) log("error", `rotation: ${text}`);
      this.#failure = text;
    }
    this.#tellHeld();
    this.#soon(EVERY_MS);
  }

  #tellHeld(): void {
    const { alarms, now } = this.#options;
    const { open } = this;
    for (const what of KINDS) {
      const waiting = open?.what === what ? this.#waiting(open) : [];
      const since = now().getTime() - Date.parse(open?.startedAt ?? now().toISOString());
      if (waiting.length === 0 || since < HELD_AFTER_MS) alarms.clear("rotation-held", what);
      else {
        const detail = `the rotation of the ${nameOf(what)} waits for ${waiting.join(", ")} since ${open?.startedAt}`;
        alarms.raise("rotation-held", { target: what, detail });
      }
    }
  }

  /** The rotation after its next step; `null`: somebody must be waited for. */
  async #step(rotation: Rotation): Promise<Rotation | null> {
    switch (rotation.phase) {
      case "announce":
      case "retire":
        return await this.#tellPeers(rotation);
      case "switch":
        return await this.#switch(rotation);
      case "relink":
        return await this.#relink(rotation);
      case "done":
        return null;
      default:
        return unreachable(rotation.phase);
    }
  }

  /** Asks all that have not confirmed; the next phase when nobody is left. */
  async #tellPeers(rotation: Rotation): Promise<Rotation | null> {
    // A store that was put back may be older than the files of keys.
    if (rotation.phase === "announce" && isSwitched(this.#options, rotation))
      return { ...rotation, phase: "switch" };
    const waiting = this.#waiting(rotation);
    if (waiting.length === 0) {
      return rotation.phase === "announce"
        ? { ...rotation, phase: "switch" }
        : { ...rotation, phase: "done", endedAt: this.#options.now().toISOString() };
    }
    const confirmed = await Promise.all(waiting.map((peer) => this.#tellPeer(rotation, peer)));
    const reached = waiting.filter((_, i) => confirmed[i] === true);
    if (reached.length === 0) return null;
    const progress = rotation.phase === "announce" ? "announced" : "done";
    const news = Object.fromEntries(reached.map((peer) => [peer, progress] as const));
    return { ...rotation, peers: { ...rotation.peers, ...news } };
  }

  async #tellPeer(rotation: Rotation, peer: string): Promise<boolean> {
    const message = await rotationMessage(this.#options, rotation, peer);
    const withinMs = rotation.phase === "retire" ? RETIRED_WITHIN_MS : ANNOUNCED_WITHIN_MS;
    try {
      await Promise.race([this.#options.ask(peer, message, withinMs), this.#stopped]);
      this.#answers.delete(peer);
      return true;
    } catch (error) {
      this.#answers.set(peer, errorText(error));
      return false;
    }
  }

  /** The new one takes the place of the old one here. */
  async #switch(rotation: Rotation): Promise<Rotation> {
    const { key, pki, tell, configure } = this.#options;
    const { what, from, next } = rotation;
    const before = what === "key" ? { key: from } : { fingerprint: from };
    const after = what === "key" ? { key: next } : { fingerprint: next };
    if (what === "certificate") {
      await pki?.renewLink();
      await configure();
      return { ...rotation, next: pki?.link.fingerprint ?? next, phase: "relink" };
    }
    if (!isSwitched(this.#options, rotation)) {
      // The trail names the new key while the old one still signs.
      await tell(what === "key" ? "site.key.rotated" : "site.ca.rotated", { before, after });
      if (what === "key") {
        const made = await key.next();
        if (made?.publicKey !== next) throw lost("site key", next);
        await key.replace(made);
      } else {
        await pki?.replaceCa();
      }
      this.#options.log("info", `this site's ${nameOf(what)} is ${next}`);
    }
    await configure();
    return { ...rotation, phase: "retire" };
  }

  /** One link after the other is made anew, so that never all are away. */
  async #relink(rotation: Rotation): Promise<Rotation> {
    const [peer] = this.#waiting(rotation);
    if (peer === undefined) return { ...rotation, phase: "done", endedAt: this.#options.now().toISOString() };
    const { relink, linked } = this.#options;
    if (await relink(peer)) {
      const end = performance.now() + LINKED_WITHIN_MS;
      do await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      while (!(await linked(peer)) && performance.now() < end && !this.#ended.signal.aborted);
    }
    return { ...rotation, peers: { ...rotation.peers, [peer]: "done" } };
  }

  #waiting(rotation: Rotation): string[] {
    return waitingPeers(
      rotation,
      this.#options.peers().map(({ name }) => name),
    );
  }

  async #keep(rotation: Rotation): Promise<Rotation> {
    await this.#options.store.putRotation(rotation);
    this.#rotations.set(rotation.what, rotation);
    return rotation;
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work, work);
    this.#queue = result.catch(() => undefined);
    return result;
  }
}
