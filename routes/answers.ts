/** The types of the API's answers, for its clients. */

import type { UserReport } from "../src/control/api.ts";
import type { DeadLetter } from "../src/control/dead_letter_api.ts";
import type { InvitationReport } from "../src/control/join_api.ts";
import type { LinkReport } from "../src/control/link_api.ts";
import type { Alarm } from "../src/model/alarms.ts";
import type { AuditRecord, ChainHead } from "../src/model/audit.ts";
import type { KeyInfo } from "../src/model/keys.ts";
import type { MemberReport } from "../src/model/member.ts";
import type { Principal, TokenInfo } from "../src/model/principal.ts";
import type { RotationReport } from "../src/model/rotation.ts";

export type { ApplyReport, PlanReport } from "../src/control/api.ts";
export type { DeadLetter } from "../src/control/dead_letter_api.ts";
export type {
  InvitationReport,
  Invited,
  JoinPreview,
  JoinReport,
  RevokeReport,
} from "../src/control/join_api.ts";
export type { LinkReport, RouteReport } from "../src/control/link_api.ts";
export type { SiteReport } from "../src/control/site_api.ts";
export type { AuditRecord } from "../src/model/audit.ts";
export type { ErasureReport, PeerErasure } from "../src/model/erasure.ts";
export type { LintReport } from "../src/model/finding.ts";
export type { RedriveReport } from "../src/model/redrive.ts";
export type { ReplayReport } from "../src/model/replay.ts";
export type { RotationReport } from "../src/model/rotation.ts";
export type { ComparisonDocument, DiffDocument, OutputDocument, ShadowDocument } from "./schema/compare.ts";
export type { ShownLetter as DeadLetterDetail } from "./schema/dead_letter.ts";
export type { ShownReport as Explanation } from "./schema/explain.ts";

/** A list of documents; `revision` is what a document's ETag would name, `changedAt` RFC 3339. */
export interface DocumentList<T> {
  readonly items: readonly { readonly revision: number; readonly changedAt: string; readonly value: T }[];
}

export interface LinkList {
  readonly items: readonly LinkReport[];
}

export interface MemberList {
  readonly items: readonly MemberReport[];
}

export interface AlarmList {
  readonly items: readonly Alarm[];
}

export interface InvitationList {
  readonly items: readonly InvitationReport[];
}

export interface RotationList {
  readonly items: readonly RotationReport[];
}

export interface TenantUserList {
  readonly items: readonly UserReport[];
}

export interface TenantKeyList {
  readonly items: readonly KeyInfo[];
}

export interface DeadLetterPage {
  readonly items: readonly DeadLetter[];
  /** What to send as `after` for more; `null` at the end. */
  readonly next: number | null;
}

/** Records of the audit trail, and where the trail stands. */
export interface AuditPage {
  readonly items: readonly AuditRecord[];
  readonly next: number | null;
  readonly head: ChainHead;
}

export interface TokenList {
  readonly items: readonly TokenInfo[];
}

/** A token that was made just now; it is told this once. */
export interface MadeToken {
  readonly token: string;
  readonly info: TokenInfo;
}

/** Who a token stands for. */
export interface WhoamiAnswer extends Omit<Principal, "tenant"> {
  readonly tenant: string | null;
}

/** How many dead letters a drop has removed, or would. */
export interface Dropped {
  readonly dropped: number;
  readonly dryRun: boolean;
}

/** Header of every answer: the version of Leafmesh, and with it the sign that it is one. */
export type VersionHeader = "Leafmesh-Version";
/** Header of a write with `?wait=true`: whether nothing is left to do. */
export type AppliedHeader = "Leafmesh-Applied";

/** A schema without the content of its versions. */
export interface SchemaSummary {
  readonly name: string;
  readonly compatibility: string;
  readonly versions: readonly { readonly version: number; readonly force?: true | undefined }[];
}

/** Whether a JSON Schema could be the next version of a schema. */
export interface SchemaCheck {
  readonly ok: boolean;
  readonly version: number;
  readonly against: number | null;
  readonly compatibility: string;
  readonly code: string | null;
  readonly problems: readonly { readonly path: string; readonly message: string }[];
}
