/** Why the state store refuses a write or a start, as errors with their codes. */
import type { ZodError } from "zod";
import { type ErrorCode, formatProblem, LeafmeshError, unreachable } from "../model/errors.ts";
import { STATE_BUCKET } from "../model/names.ts";
import type { Peer } from "../model/schema/site.ts";
import { isWrongSequence } from "../nats/jetstream_errors.ts";
import type { SchemaChange } from "../policy/schema/change.ts";
import { type ResourceRef, type ResourceType, resourceLabel } from "./resource.ts";
import { type Documents, valuesOf } from "./state_documents.ts";

/** What a write is refused with that leaves the state invalid: of a schema, a rule names what would be gone. */
export const REFUSALS = {
  peer: "config_invalid",
  invitation: "config_invalid",
  revocation: "config_invalid",
  tenant: "config_invalid",
  schema: "conflict",
  export: "policy_invalid",
  import: "policy_invalid",
  shadow: "policy_invalid",
} as const satisfies Record<ResourceType, ErrorCode>;

/** Refuses a peer whose key was revoked. @throws {LeafmeshError} `peer_revoked` */
export function requireNotRevoked(peer: Peer, documents: Documents): void {
  const revocation = valuesOf(documents, "revocation").find(
    ({ key }) => key === peer.key || key === peer.nextKey,
  );
  if (revocation === undefined) return;
  throw new LeafmeshError(
    "peer_revoked",
    `The key ${revocation.key} was revoked as that of ${revocation.peer} at ${revocation.at}: it is a peer's again only by force`,
  );
}

/** For a schema that may not take the place of the one that is there. */
export function refusedSchema(
  label: string,
  change: Exclude<SchemaChange, { type: "allowed" }>,
): LeafmeshError {
  const { problems } = change;
  const text = problems.map((problem) => formatProblem(problem)).join("; ");
  switch (change.type) {
    case "conflict":
      return new LeafmeshError("conflict", `${label} cannot be changed so: ${text}`, { problems });
    case "invalid":
      return new LeafmeshError("schema_invalid", `${label} is not valid: ${text}`, { problems });
    case "incompatible":
      return new LeafmeshError("schema_incompatible", `${label} is not compatible: ${text}`, { problems });
    default:
      return unreachable(change);
  }
}

/** For a bucket that is gone, with all changes since the first start. */
export function stateIsGone(site: string): LeafmeshError {
  return new LeafmeshError(
    "data_folder_unusable",
    `The state of site ${site} (bucket ${STATE_BUCKET}) is gone, with every change made since the first start: restore the server's store; or, to begin again with the policies of the site file, remove desired.json from the data folder`,
  );
}

/** Why a document of the bucket cannot be read, in one line. */
export function unreadable(ref: ResourceRef, { issues }: ZodError): string {
  const [first] = issues;
  const place = first === undefined || first.path.length === 0 ? "" : `${first.path.join(".")}: `;
  return `${resourceLabel(ref)} (${place}${first?.message ?? "is not valid"})`;
}

/** For a bucket with documents that another version has written, or somebody by hand. */
export function unreadableState(documents: readonly string[]): LeafmeshError {
  return new LeafmeshError(
    "data_folder_unusable",
    `This version cannot read what the state (bucket ${STATE_BUCKET}) holds: ${documents.join("; ")}. Start the version that has written it, and change it there`,
  );
}

/** For a write that another one came before; any other error stays as it is. */
export function raced(ref: ResourceRef, error: unknown): unknown {
  if (!isWrongSequence(error)) return error;
  return new LeafmeshError("precondition_failed", `${resourceLabel(ref)} was changed at the same time`, {
    cause: error,
  });
}
