/** Dead letters as the API shows, drops and redrives them. */
import type { RedriveReport } from "../model/redrive.ts";

/** An event that was put aside, without its payload. */
export interface DeadLetter {
  /** Sequence in the tenant's dead-letter stream. */
  readonly sequence: number;
  /** When it was put aside, RFC 3339. */
  readonly time: string;
  /** In the tenant's own subjects. */
  readonly subject: string;
  /** Where the event was published. */
  readonly origin: string;
  readonly policy: string;
  readonly policyVersion: string;
  readonly rule: string;
  readonly reason: string;
  readonly error: string;
  /** Sequence of the event in the stream that the policy read. */
  readonly position: number;
  readonly headers: Readonly<Record<string, readonly string[]>>;
  /** Of the payload. */
  readonly sizeBytes: number;
}

/** A dead letter, and its event's payload where it was asked for. */
export interface DeadLetterDetail extends DeadLetter {
  /** Only a part of the event is kept: it was too large for a dead letter. */
  readonly truncated: boolean;
  /** `null` unless asked for. */
  readonly payload: Uint8Array | null;
}

/** Which dead letters; all that is given must hold. */
export interface DeadLetterFilter {
  readonly reason?: string;
  readonly rule?: string;
  readonly policy?: string;
  /** Pattern in the tenant's own subjects. */
  readonly subject?: string;
  /** Put aside then or later, milliseconds since 1970. */
  readonly sinceMs?: number;
}

/** Which dead letters to decide again, and how fast. */
export interface RedriveRequest {
  /** One dead letter; else those of the filter. */
  readonly sequence?: number;
  readonly filter: DeadLetterFilter;
  readonly dryRun: boolean;
  /** Dead letters a second. */
  readonly rate: number;
}

/** The dead letters of the tenants. */
export interface DeadLetters {
  /** From `after` (exclusive) on, oldest first. */
  list(
    tenant: string,
    page: DeadLetterFilter & { readonly after: number; readonly limit: number },
  ): Promise<{ readonly letters: readonly DeadLetter[]; readonly next: number | null }>;
  /** @throws {LeafmeshError} `not_found` */
  show(tenant: string, sequence: number, options: { readonly payload: boolean }): Promise<DeadLetterDetail>;
  /** Removes one. @throws {LeafmeshError} `not_found` */
  remove(tenant: string, sequence: number): Promise<void>;
  /** Removes those of a filter. @returns how many are or would be removed */
  drop(tenant: string, filter: DeadLetterFilter, options: { readonly dryRun: boolean }): Promise<number>;
  /** Starts a redrive. @throws {LeafmeshError} `conflict` while another one of the tenant runs, `not_found` */
  redrive(tenant: string, request: RedriveRequest): Promise<RedriveReport>;
  /** The last redrives, newest first. */
  redrives(tenant: string): readonly RedriveReport[];
  /** How far a redrive is: when it has ended, or after `waitMs`. @throws {LeafmeshError} `not_found` */
  redriveOf(tenant: string, id: string, options: { readonly waitMs: number }): Promise<RedriveReport>;
  /** Ends a redrive after what it has in hand. @throws {LeafmeshError} `not_found` */
  cancelRedrive(tenant: string, id: string): RedriveReport;
}
