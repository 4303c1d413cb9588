/**
 * The desired state of a site: what the site file or the API asked for, with defaults filled in. Plain data, no secrets.
 */
import type { SchemaDocument } from "./schema/contract.ts";
import type { ExportPolicy, ImportPolicy } from "./schema/policy.ts";
import type { Peer } from "./schema/site.ts";
import type { TenantDocument, TenantUser } from "./schema/tenant.ts";
import { inlineSchema } from "./schema_files.ts";
import { parseBytes, parseDurationMs } from "./units.ts";

export interface DesiredTenant {
  readonly name: string;
  readonly users: readonly TenantUser[];
  readonly limits: {
    readonly storageBytes: number;
    readonly maxAgeMs: number;
    readonly maxMsgBytes: number;
    readonly whenFull: "discard-oldest" | "refuse";
  };
  readonly dedupe: { readonly windowMs: number; readonly ids: "origin" | "mesh" };
  readonly log: boolean;
  readonly schemas: readonly SchemaDocument[];
  readonly exports: readonly ExportPolicy[];
  readonly imports: readonly ImportPolicy[];
}

/** An invitation that lets somebody in now. */
export interface OpenInvitation {
  readonly id: string;
  /** Public half of the key that its token logs in with. */
  readonly key: string;
}

/** A peer whose key was revoked: it is in no plan and in no configuration, but policies may go on naming it. */
export interface RevokedPeer {
  readonly name: string;
  readonly key: string;
  /** RFC 3339. */
  readonly at: string;
}

export interface DesiredState {
  readonly site: string;
  readonly peers: readonly Peer[];
  readonly invitations?: readonly OpenInvitation[];
  readonly revoked?: readonly RevokedPeer[];
  readonly tenants: readonly DesiredTenant[];
}

/** A tenant's document with its defaults. @throws {LeafmeshError} `config_invalid` when a file that it names was not read */
export function desiredTenant(document: TenantDocument): DesiredTenant {
  const bytes = (text: string | undefined, fallback: string) => parseBytes(text ?? fallback) ?? 0;
  const millis = (text: string | undefined, fallback: string) => parseDurationMs(text ?? fallback) ?? 0;
  return {
    name: document.tenant,
    users: document.users ?? [],
    limits: {
      storageBytes: bytes(document.limits?.storage, "2GiB"),
      maxAgeMs: millis(document.limits?.maxAge, "7d"),
      maxMsgBytes: bytes(document.limits?.maxMsgSize, "1MiB"),
      whenFull: document.limits?.whenFull ?? "discard-oldest",
    },
    dedupe: { windowMs: millis(document.dedupe?.window, "2m"), ids: document.dedupe?.ids ?? "origin" },
    log: document.log ?? true,
    schemas: (document.schemas ?? []).map(inlineSchema),
    exports: document.exports ?? [],
    imports: document.imports ?? [],
  };
}
