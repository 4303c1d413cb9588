/** What can go wrong while a condition is evaluated. Each is a code: it never repeats anything of the event. */
export type FailureCode =
  | "no_such_key"
  | "no_such_overload"
  | "index_out_of_range"
  | "integer_overflow"
  | "division_by_zero"
  | "conversion_failed"
  | "time_out_of_range"
  | "number_not_exact"
  | "header_repeated"
  | "duplicate_key"
  | "text_malformed"
  | "too_expensive";

/** Ends an evaluation. */
export class CelFailure extends Error {
  readonly code: FailureCode;

  constructor(code: FailureCode) {
    super(code);
    this.name = "CelFailure";
    this.code = code;
  }
}

const CODES: readonly FailureCode[] = [
  "no_such_key",
  "no_such_overload",
  "index_out_of_range",
  "integer_overflow",
  "division_by_zero",
  "conversion_failed",
  "time_out_of_range",
  "number_not_exact",
  "header_repeated",
  "duplicate_key",
  "text_malformed",
  "too_expensive",
];
/** One of each, made once: events that fail may be many, and drawing a stack for each is slow. */
const FAILURES: ReadonlyMap<FailureCode, CelFailure> = new Map(
  CODES.map((code) => [code, new CelFailure(code)]),
);

/** @throws {CelFailure} always */
export function fail(code: FailureCode): never {
  throw FAILURES.get(code) ?? new CelFailure(code);
}
