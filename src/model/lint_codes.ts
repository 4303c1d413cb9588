/** The checks of lint by their codes. */

/**
 * Every check by its code. `error`: the mesh would not do what the files say, or would do what they forbid; `warning`: it
 * works, and somebody should look. The table of docs/lint.md is held against this one.
 */
export const LINT_CODES = {
  invalid: { severity: "error", about: "the file cannot be read, or a site refuses to start with it" },
  loop: { severity: "error", about: "events come back to a site that they have passed already" },
  "two-paths": { severity: "error", about: "events reach a site over two paths, so each would arrive twice" },
  "too-many-paths": {
    severity: "error",
    about: "there are more paths than are followed: what lies beyond them is not proved",
  },
  "forbidden-flow": { severity: "error", about: "a flow that a `forbid` of a site file forbids" },
  "unknown-site": { severity: "error", about: "a `forbid` or `sensitive` names a site that no file knows" },
  "sensitive-field": { severity: "error", about: "a field named as sensitive may reach a site unredacted" },
  "unreachable-rule": { severity: "error", about: "a rule that no event can come to" },
  "shadowed-subject": { severity: "error", about: "subjects of a rule that rules before it take" },
  "redaction-bypassed": {
    severity: "error",
    about: "a rule that redacts, behind one that lets the same subjects out as they are",
  },
  "redaction-partly-bypassed": {
    severity: "warning",
    about: "a rule that redacts, behind one that lets a part of its subjects out as they are",
  },
  "deny-after-allow": {
    severity: "error",
    about: "a rule that denies, behind one that lets the same subjects out",
  },
  "deny-partly-after-allow": {
    severity: "warning",
    about: "a rule that denies, behind one that lets a part of its subjects out",
  },
  "merged-subjects": {
    severity: "warning",
    about: "a rewrite by which events of different subjects leave under one name",
  },
  "overlapping-exports": { severity: "error", about: "two exports of one tenant and origin to one peer" },
  "nothing-exported": { severity: "error", about: "an export that lets nothing out" },
  "nothing-to-pass-on": {
    severity: "warning",
    about: "a rule of an export in transit for subjects that no import brings here",
  },
  "transit-of-mirror": { severity: "error", about: "an export that passes on what is only mirrored here" },
  "mirror-of-redacted": {
    severity: "warning",
    about: "a mirror of a view: it holds what the policy lets through, not what was published",
  },
  "import-without-export": {
    severity: "error",
    about: "an import of what the peer does not export to this site",
  },
  "subject-without-export": { severity: "error", about: "a subject of an import that no export offers" },
  "export-without-import": { severity: "warning", about: "an export to a peer that does not import it" },
  "subject-without-import": { severity: "warning", about: "subjects of an export that no import accepts" },
  "tenant-missing": {
    severity: "error",
    about: "a tenant with a flow to or from a peer that does not have it",
  },
  "one-sided-peer": { severity: "error", about: "a peer that does not name this site as its peer" },
  "nobody-dials": { severity: "error", about: "two peers that both wait for the other one to dial" },
  "both-dial": { severity: "error", about: "two peers that both dial" },
  "key-mismatch": { severity: "error", about: "files that name different keys for one site" },
  "duplicate-site": { severity: "error", about: "two files of one site" },
} as const satisfies Record<string, { readonly severity: "error" | "warning"; readonly about: string }>;

export type LintCode = keyof typeof LINT_CODES;
export type Severity = (typeof LINT_CODES)[LintCode]["severity"];
