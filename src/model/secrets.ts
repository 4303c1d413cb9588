/** Keeps secrets out of messages, logs and answers. */

/** `text` without what looks like the seed of an nkey, a token of the API or of an issuer, or the password of a URL. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(?<![A-Za-z0-9])S[ACNOUX][A-Z2-7]{20,}/gi, "<seed>")
    .replace(/(?<![A-Za-z0-9])lm[a-z]?_[A-Za-z0-9_-]{20,}/g, "<token>")
    .replace(/(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+/g, "<token>")
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1<hidden>@");
}
