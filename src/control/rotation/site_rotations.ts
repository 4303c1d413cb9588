/** Both halves of rotations at one site: its own, and those that its peers tell of. */
import type { JetStreamClient } from "@nats-io/jetstream";
import type { AlarmPort } from "../../model/alarms.ts";
import { describeCertificate, splitPem } from "../../model/certificate.ts";
import { LeafmeshError } from "../../model/errors.ts";
import type { Peer } from "../../model/schema/site.ts";
import type { SitePki } from "../../nats/pki/site_pki.ts";
import type { SiteKeyFiles } from "../../nats/site_key_files.ts";
import type { SystemApi } from "../../nats/system_api.ts";
import type { StateStore } from "../api.ts";
import type { Audit } from "../audit/audit.ts";
import { HeardRotations } from "./heard_rotations.ts";
import { RotationStore } from "./rotation_store.ts";
import { Rotations } from "./rotations.ts";

/** What the control plane lends to rotations. */
export interface RotationHost {
  readonly peers: () => readonly Peer[];
  readonly ask: (peer: string, body: unknown, withinMs: number) => Promise<unknown>;
  readonly configure: () => Promise<void>;
  readonly joining: () => boolean;
}

export interface SiteRotationsOptions {
  readonly site: string;
  readonly js: JetStreamClient;
  readonly state: StateStore;
  readonly system: SystemApi;
  readonly audit: Audit;
  readonly alarms: AlarmPort;
  readonly key: SiteKeyFiles;
  /** `null`: links are plain. */
  readonly pki: SitePki | null;
  /** Whether this sidecar leads the site, as far as it knows. */
  readonly leads: () => boolean;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

export class SiteRotations implements AsyncDisposable {
  readonly own: Rotations;
  readonly #heard: HeardRotations;

  private constructor(own: Rotations, heard: HeardRotations) {
    this.own = own;
    this.#heard = heard;
  }

  static async open(options: SiteRotationsOptions, host: RotationHost): Promise<SiteRotations> {
    const { site, js, state, system, audit, alarms, key, pki, leads, log } = options;
    const store = await RotationStore.open(js);
    const now = () => new Date();
    const linked = async (peer: string) => (await system.leafs([peer])).some(({ type }) => type === "up");
    const heard = new HeardRotations({
      site,
      state,
      store,
      configure: host.configure,
      as: (peer, work) => audit.as({ type: "peer", name: peer }, `link ${peer}`, work),
      ownCas: () => splitPem(pki?.trustedPem ?? "").map((pem) => describeCertificate(pem).fingerprint),
      log,
    });
    const own = await Rotations.open({
      ...host,
      site,
      store,
      key,
      pki,
      leads,
      linked,
      alarms,
      relink: async (peer) => (await system.kickLeaf(peer)) > 0,
      tell: (operation, change) => audit.event(operation, `site ${site}`, change),
      now,
      log,
    });
    return new SiteRotations(own, heard);
  }

  /** What a peer says of its rotation. @throws {LeafmeshError} `request_invalid` */
  async heard(peer: string, body: unknown): Promise<unknown> {
    return await this.#heard.take(peer, body);
  }

  /** @throws {LeafmeshError} `conflict` while the key or the CA rotates: who is told of the old one would know it alone */
  requireSettled(): void {
    const { open } = this.own;
    if (open === null || open.what === "certificate") return;
    throw new LeafmeshError(
      "conflict",
      `The ${open.what === "ca" ? "CA" : "site key"} of this site rotates: invite and join when that is done ('leafmesh peer rotate --status')`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.own[Symbol.asyncDispose]();
  }
}
