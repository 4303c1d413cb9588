/** Keeps secrets out of messages, logs, answers and the audit trail. */

/** `text` without what looks like a seed of an nkey, an invitation, a token of the API or an issuer, or a password in a URL. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(?<![A-Za-z0-9])S[ACNOUX][A-Z2-7]{20,}/gi, "<seed>")
    .replace(/lmi_[A-Za-z0-9_.-]{8,}/g, "<invitation>")
    .replace(/(?<![A-Za-z0-9])lm[a-z]?_[A-Za-z0-9_-]{20,}/g, "<token>")
    .replace(/(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+/g, "<token>")
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1<hidden>@");
}

/** Fields that hold a secret, whatever it looks like. Public keys (`key`), hashes of records and counts of tokens are none. */
const SECRET_FIELD =
  /passw|secret|seed|(?:^|_|[a-z])token$|^token|credential|private|bearer|authorization|bcrypt|salt|passwordhash/i;
const HIDDEN = "<hidden>";
const MAX_DEPTH = 32;

/** `text` without what looks like a secret of any kind that passes through the API. */
function hiddenText(text: string): string {
  return withoutSecrets(text)
    .replace(
      /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
      "<private key>",
    )
    .replace(/\blmi?_[A-Za-z0-9_.-]{8,}/g, "<token>")
    .replace(/\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{20,}/g, "<password hash>")
    .replace(/\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g, "<token>");
}

/** A plain value without secrets: fields whose name says so, and texts that look like one. */
export function withoutSecretFields(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return hiddenText(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > MAX_DEPTH) return "<too deep>";
  if (Array.isArray(value)) return value.map((one) => withoutSecretFields(one, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      hiddenText(name),
      SECRET_FIELD.test(name) && inner !== null && typeof inner !== "boolean" && typeof inner !== "number"
        ? HIDDEN
        : withoutSecretFields(inner, depth + 1),
    ]),
  );
}
