/** Rotations of what a site shows its peers: its certificate, its CA, its key. What is kept of them, and what is said. */
import { z } from "zod";
import { caProblem } from "./certificate.ts";
import { Name, PublicKey } from "./schema/scalars.ts";

/** `certificate`: of the links, under the same CA. `ca`: the CA that signs it. `key`: the site key. */
export const RotationKind = z.enum(["certificate", "ca", "key"]);
export type RotationKind = z.infer<typeof RotationKind>;

/**
 * How far it is. `announce`: the peers are told of the new one, and trust both. `switch`: it takes the place of the old one here.
 * `retire`: the peers are told to drop the old one. `relink`: links are made anew, with the new certificate.
 */
export const RotationPhase = z.enum(["announce", "switch", "retire", "relink", "done"]);
export type RotationPhase = z.infer<typeof RotationPhase>;

/** `announced`: it trusts both. `done`: it trusts the new one alone, or its link is made anew. `skipped`: ended without it. */
const PeerProgress = z.enum(["announced", "done", "skipped"]);
export type PeerProgress = z.infer<typeof PeerProgress>;

/** The last rotation of a kind, as this site keeps it. Holds public halves only. */
export const Rotation = z.object({
  what: RotationKind,
  /** Grows with every rotation of this site: a peer takes none that is older than one it has heard of. */
  epoch: z.int().positive(),
  phase: RotationPhase,
  startedAt: z.iso.datetime(),
  endedAt: z.iso.datetime().nullable(),
  by: z.string().nullable(),
  /** The public key, or the fingerprint of a certificate's key, before and after. */
  from: z.string(),
  next: z.string(),
  /** Links that are made anew; `null`: all. */
  only: z.array(Name).nullable(),
  peers: z.record(z.string(), PeerProgress),
});
export type Rotation = z.infer<typeof Rotation>;

/** What a site tells a peer of a rotation. Its text is signed as it is. */
export const RotationStatement = z.strictObject({
  version: z.literal(1),
  site: Name,
  /** The peer that it is for. */
  to: Name,
  epoch: z.int().positive(),
  step: z.enum(["announce", "retire"]),
  subject: z.discriminatedUnion("what", [
    z.strictObject({ what: z.literal("key"), from: PublicKey, next: PublicKey }),
    z.strictObject({
      what: z.literal("ca"),
      /** Fingerprint of the CA that the peer trusts now. */
      from: z.string().regex(/^[0-9a-f]{64}$/),
      /** The new CA's certificate, PEM. */
      next: z.string().refine((pem) => caProblem(pem) === null),
    }),
  ]),
});
export type RotationStatement = z.infer<typeof RotationStatement>;

/** A statement with its signatures: of the key that is trusted, and of a new key by itself. */
export const SignedRotation = z.strictObject({
  statement: z.string().max(16 * 1024),
  signatures: z
    .array(z.strictObject({ key: PublicKey, signature: z.string().max(128) }))
    .min(1)
    .max(2),
});
export type SignedRotation = z.infer<typeof SignedRotation>;

/** What the signatures of a statement are over: they are good for nothing else. */
export function rotationBytes(statement: string): Uint8Array {
  return new TextEncoder().encode(`leafmesh rotation\n${statement}`);
}

/** The last rotation that was heard of a peer. */
export const HeardRotation = z.object({
  epoch: z.int().positive(),
  step: z.enum(["announce", "retire"]),
  what: z.enum(["key", "ca"]),
  /** The public key, or the fingerprint of the CA's key. */
  next: z.string(),
});
export type HeardRotation = z.infer<typeof HeardRotation>;

/** How far a rotation is with one peer. */
export interface RotationPeer {
  readonly peer: string;
  /** `waiting`: it has not confirmed what it is told now. */
  readonly state: "waiting" | "confirmed" | "skipped";
  /** Why it has not; `null`: not asked yet, or nothing is wrong. */
  readonly why: string | null;
  /** What the peer's operator must do, where the rotation ended without it. */
  readonly remedy: string | null;
}

/** A rotation as the API tells it. */
export interface RotationReport extends Omit<Rotation, "peers" | "epoch" | "only"> {
  /** What keeps this site itself from going on; `null`: nothing. */
  readonly failure: string | null;
  readonly peers: readonly RotationPeer[];
}

/** What is to be rotated. */
export interface RotationRequest {
  readonly what: RotationKind;
  /** Of a certificate: the peers whose links are made anew; default all. */
  readonly peers?: readonly string[];
  readonly by?: string;
}

/** Rotations of this site. */
export interface RotationApi {
  /** The last one of each kind, the newest first. */
  list(): readonly RotationReport[];
  /**
   * Begins one, or goes on with the one of this kind that is open.
   * @throws {LeafmeshError} `conflict` while another one or an invitation is open, or where links are plain; `not_found` for
   * a peer that is none; `request_invalid`
   */
  start(request: RotationRequest): Promise<RotationReport>;
  /** The last one of a kind: when it is done, or after `waitMs`; `null`: there was none. */
  settled(what: RotationKind, waitMs: number): Promise<RotationReport | null>;
  /** Ends waiting for peers that do not answer. @throws {LeafmeshError} `not_found` when none of this kind is open */
  finish(what: RotationKind): Promise<RotationReport>;
}
