/** Keeps secrets out of messages, logs and answers. */

/** `text` without what looks like the seed of an nkey or the password of a URL. */
export function withoutSecrets(text: string): string {
  return text
    .replace(/(?<![A-Za-z0-9])S[ACNOUX][A-Z2-7]{20,}/gi, "<seed>")
    .replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, "$1<hidden>@");
}
