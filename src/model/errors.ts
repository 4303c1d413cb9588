import type { LintCode } from "./lint_codes.ts";

/**
 * Every failure that Leafmesh reports by name, with its HTTP status and its exit code.
 * Branch on `code`, never on text.
 */
const CODES = {
  config_invalid: { status: 422, exit: 2, title: "Configuration is not valid" },
  policy_invalid: { status: 422, exit: 2, title: "Policy is not valid" },
  schema_invalid: { status: 422, exit: 2, title: "Schema is not valid" },
  schema_incompatible: {
    status: 409,
    exit: 5,
    title: "Schema is not compatible with the version before",
  },
  request_invalid: { status: 400, exit: 2, title: "Request is not valid" },
  unauthorized: { status: 401, exit: 3, title: "Token is missing or wrong" },
  forbidden: { status: 403, exit: 3, title: "Not allowed" },
  not_found: { status: 404, exit: 4, title: "No such resource" },
  audit_unavailable: { status: 503, exit: 6, title: "The audit trail cannot be written" },
  no_leader: { status: 503, exit: 9, title: "No sidecar leads the site now" },
  conflict: { status: 409, exit: 5, title: "Resource is in conflict" },
  precondition_failed: { status: 412, exit: 5, title: "Resource has changed since it was read" },
  precondition_required: { status: 428, exit: 5, title: "If-Match is required" },
  too_large: { status: 413, exit: 2, title: "Too large" },
  too_slow: { status: 408, exit: 9, title: "Request came too slowly" },
  rate_limited: { status: 429, exit: 9, title: "Too many requests" },
  wrong_host: { status: 421, exit: 2, title: "Host is not this API's" },
  server_missing: { status: 503, exit: 6, title: "nats-server was not found" },
  server_too_old: { status: 503, exit: 6, title: "nats-server is too old" },
  server_config_refused: { status: 422, exit: 6, title: "nats-server refused its configuration" },
  server_failed: { status: 503, exit: 6, title: "nats-server did not start or stopped" },
  server_fragment_missing: {
    status: 503,
    exit: 6,
    title: "The external nats-server lacks a part of the configuration",
  },
  port_taken: { status: 503, exit: 6, title: "Address is in use" },
  data_folder_locked: { status: 503, exit: 6, title: "Data folder is in use" },
  data_folder_unusable: { status: 503, exit: 6, title: "Data folder cannot be used" },
  layout_newer: { status: 503, exit: 6, title: "Written by a newer version" },
  key_invalid: { status: 422, exit: 2, title: "Key is not valid" },
  peer_unreachable: { status: 503, exit: 7, title: "Peer does not answer" },
  peer_refused: { status: 502, exit: 7, title: "Peer is not who it should be" },
  peer_revoked: { status: 409, exit: 5, title: "Peer's key was revoked" },
  login_refused: { status: 502, exit: 7, title: "Peer does not let us in" },
  invitation_invalid: { status: 422, exit: 2, title: "Invitation is not valid" },
  invitation_foreign: { status: 409, exit: 5, title: "Invitation is for another site" },
  invitation_expired: { status: 410, exit: 5, title: "Invitation has expired" },
  invitation_used: { status: 409, exit: 5, title: "Invitation was used or revoked" },
  apply_failed: { status: 500, exit: 8, title: "A step of the plan failed" },
  issuer_unreachable: { status: 503, exit: 9, title: "The issuer's keys cannot be read" },
  api_unreachable: { status: 503, exit: 9, title: "The sidecar's API does not answer" },
  timeout: { status: 504, exit: 9, title: "Timed out" },
  internal: { status: 500, exit: 1, title: "Unexpected failure" },
} as const;

export type ErrorCode = keyof typeof CODES;

/** One thing that is wrong with a document: where it is and what was expected. */
export interface Problem {
  /** Path of the offending value, for example `tenants[0].exports[1].to`. */
  readonly path: string;
  readonly message: string;
  /** 1-based position in the source text, where there is one. */
  readonly line?: number;
  readonly column?: number;
  /** The check that found it, where it has a name: see docs/lint.md. */
  readonly code?: LintCode;
}

/** The one error class. `message` names the offending thing, its value and what was expected; never a secret. */
export class LeafmeshError extends Error {
  override readonly name = "LeafmeshError";
  readonly code: ErrorCode;
  readonly problems: readonly Problem[];

  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; problems?: readonly Problem[] },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.problems = options?.problems ?? [];
  }
}

/** HTTP status for a code. */
export function httpStatus(code: ErrorCode): (typeof CODES)[ErrorCode]["status"] {
  return CODES[code].status;
}

/** Process exit code for a code. */
export function exitCode(code: ErrorCode): number {
  return CODES[code].exit;
}

/** Short title of a code, for problem documents (RFC 9457). */
export function errorTitle(code: ErrorCode): string {
  return CODES[code].title;
}

/** The message of anything thrown. */
export function errorText(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A problem as one line: `site.yaml:12:5 tenants[0].name: …` */
export function formatProblem(problem: Problem, file?: string): string {
  const place = [file, problem.line, problem.line === undefined ? undefined : problem.column]
    .filter((part) => part !== undefined)
    .join(":");
  const path = problem.path === "" ? "" : `${problem.path}: `;
  return `${place === "" ? "" : `${place} `}${path}${problem.message}`;
}

/** For the `default` of a switch over a tagged union: the compiler proves that no case is missing. */
export function unreachable(value: never): never {
  throw new LeafmeshError("internal", `Unhandled case ${JSON.stringify(value)}`);
}
