/**
 * Keeps credentials out of everything that is written: config files, reports, command lines, messages.
 *
 * A value is masked for one of three reasons:
 *
 * - It stands under a key that names a credential: `api_key`, `--hf-token`, `clientSecret`, `MLFLOW_TRACKING_PASSWORD`.
 *   A key is taken apart into words (snake, kebab, camel, dots, slashes), and words decide, never parts of them:
 *   `tokenizer`, `max_tokens`, `tokens_per_second`, `secretary` and `keyboard` are no credentials, nor are the tokens of
 *   a language model (`pad_token`, `token_dropout`) and keys that only speak of one (`password_file`, `token_url`).
 * - It looks like one wherever it stands: the password in a URL, `Bearer ...`, `password=...`, the key shapes that
 *   services publish so that they can be found.
 * - It is the value of an environment variable whose name says that it is one.
 *
 * In doubt a value is masked. Booleans, null and empty strings stay: whether there is a password is no secret.
 *
 * @since 0.1.0
 */

/**
 * What stands in the place of a credential.
 *
 * @category models
 * @since 0.1.0
 */
export const masked = "***"

interface Environment {
  readonly [name: string]: string | undefined
}

// -----------------------------------------------------------------------------
// Keys
// -----------------------------------------------------------------------------

const set = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

/** A key with one of these words holds a credential. */
const credentialWords = set(`secret secrets password passwords passwd passphrase passcode passkey pwd credential
  credentials cred creds authorization bearer jwt dsn cookie cookies`)

/** So does one with a word that ends like this: `apikey`, `PGPASSWORD`, `PBS_JOBCOOKIE`. */
const credentialEnding = new RegExp(
  "(?:password|passwd|passphrase|cookie|apikey|authkey|secretkey|accesskey|privatekey|apitoken|authtoken|accesstoken|" +
    "refreshtoken|sessiontoken|clientsecret|connectionstring|connstring|connstr)s?$"
)

/** `key` is a credential after one of these. */
const keyOwners = set(`api access secret private signing encryption account storage master deploy license ssh service
  auth client session subscription webhook ai openai anthropic hf huggingface wandb comet neptune`)

/** `pass` is a credential after one of these. */
const passOwners = set("user db database smtp ftp http proxy mysql pg postgres redis mongo admin root login basic")

/** `pat` (personal access token) is a credential alone, or after one of these. */
const patOwners = set("git github gitlab bitbucket azure ado devops databricks snowflake personal access api user")

/** `tokens`, or a `token` that is followed by another word, is a credential after one of these. */
const tokenOwners = set(`access api auth oauth refresh bearer session secret security personal identity deploy bot csrf
  xsrf hf huggingface github gitlab wandb mlflow registry npm user tracking`)

/** The words before and after the tokens of a language model. */
const beforeModelToken = set(`pad eos bos eot eod eom unk mask sep cls special image img audio video vision visual
  speech text per next end start stop begin beginning first last prev previous fim newline prompt decoder encoder tool
  think vocab sub max min num n avg mean total each every forced suppress language lang task word char sentence class
  dist distill distillation register latent single multi cross query patch bits additional`)
const afterModelToken = set(`dim dims size sizes count counts id ids type types length lengths len embedding embeddings
  embed embeds emb dropout drop mix mixer mixing mask masks masking level limit budget rate loss losses weight weights
  num per position positions pos shift index indices idx merge merging prune pruning pool pooling label labels
  classification throughput norm encoder decoder projection accuracy acc entropy logprob logprobs ppl perplexity bytes
  latency time parallel`)

/** A key that ends like this speaks of a credential, and does not hold it. */
const about = set(
  `file path dir directory url uri name length len count size ttl expiry expires expiration type provider
  env var policy manager enabled required scope scopes endpoint host port`
)

/** The words of a key, in lower case and without the digits they end in. Of a very long key the end decides. */
const words = (key: string): ReadonlyArray<string> =>
  key.slice(-256)
    .replaceAll(/(\p{Ll}|\d)(\p{Lu})/gu, "$1 $2")
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, "$1 $2")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .map((word) => word.replace(/\d+$/, ""))
    .filter((word) => word !== "")

/**
 * Whether a key, a flag or an environment variable of this name holds a credential.
 *
 * @example
 * ```ts
 * import { Secrets } from "ezpz-stream"
 *
 * assert.isTrue(["api_key", "--hf-token", "clientSecret", "db/password"].every(Secrets.isCredential))
 * assert.isFalse(["tokens_per_second", "tokenizer", "pad_token", "password_file"].some(Secrets.isCredential))
 * ```
 *
 * @category keys
 * @since 0.1.0
 */
export const isCredential = (key: string): boolean => {
  // The shell's working directory.
  if (key === "PWD") return false
  const all = words(key)
  const last = all.length - 1
  if (about.has(all[last] ?? "")) return false
  return all.some((word, i) => {
    const before = all[i - 1] ?? ""
    const after = all[i + 1] ?? ""
    switch (word) {
      case "key":
      case "keys":
        return keyOwners.has(before)
      case "token":
        return !beforeModelToken.has(before) && (!afterModelToken.has(after) || tokenOwners.has(before))
      case "tokens":
        return tokenOwners.has(before)
      case "string":
      case "str":
        return before === "connection" || before === "conn"
      case "auth":
        return i === last
      case "pass":
        return i === last && (i === 0 || passOwners.has(before))
      case "pat":
        return i === last && (i === 0 || patOwners.has(before))
      default:
        return credentialWords.has(word) || credentialEnding.test(word)
    }
  })
}

/** What may stay under the key of a credential. */
const isNoSecret = (value: unknown): boolean =>
  value === null || value === undefined || typeof value === "boolean" ||
  (typeof value === "string" && /^(?:|true|false|none|null)$/i.test(value.trim()))

const maskNamed = (value: string): string => isNoSecret(value) ? value : masked

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

/** The shapes of well-known keys, each with a boundary in front. Lengths are below those in use, to be safe. */
const shapes = new RegExp(
  "(?<![A-Za-z0-9])(?:" + [
    "sk-(?=[\\w-]*\\d)[\\w-]{16,}", // OpenAI, Anthropic, Langfuse
    "(?:sk|rk)_(?:live|test)_\\w{10,}", // Stripe
    "gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\\w{20,}", // GitHub
    "gl(?:pat|ptt|dt|rt)-[\\w-]{16,}", // GitLab
    "hf_[A-Za-z0-9]{20,}", // Hugging Face
    "wandb_v\\d+_\\w{20,}|local-[0-9a-f]{40}", // W&B
    "xox[a-z]-[\\w-]{10,}", // Slack
    "(?:AKIA|ASIA)[A-Z0-9]{16}", // AWS
    "AIza[\\w-]{35}|ya29\\.[\\w.-]{10,}", // Google
    "dapi[0-9a-f]{32}", // Databricks
    "npm_[A-Za-z0-9]{36}|pypi-[\\w-]{16,}",
    "(?:nvapi-|gsk_|tskey-)[\\w-]{16,}", // NVIDIA, Groq, Tailscale
    "eyJ[\\w-]{8,}\\.eyJ[\\w-]{8,}(?:\\.[\\w-]*)?" // JSON web tokens
  ].join("|") + ")",
  "g"
)

const patterns: ReadonlyArray<readonly [pattern: RegExp, replacement: string]> = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, masked],
  // Headers, to the end of the line or of the quotes they stand in.
  [
    /(?<![\w-])((?:proxy-)?authorization|x-[\w-]{0,40}(?:key|token|secret)|(?:set-)?cookie)(["']?[ \t]*:[ \t]*["']?)(?!(?:null|true|false)\b|[{[])[^\s"'][^\r\n"']*/gi,
    `$1$2${masked}`
  ],
  // https://token@host, https://token:@host; user:password@ under any scheme, the password with a slash in it, too.
  [/(https?:\/\/)[^\s/?#@:"'<>]{1,1024}(:(?:x-oauth-basic)?)?@/gi, `$1${masked}$2@`],
  [
    /(:\/\/[^\s/?#@:[\]"'<>]{0,256}):(?:[^\s/?#"'<>]{1,1024}|(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]{1,1024})@/g,
    `$1:${masked}@`
  ],
  [/(hooks\.slack\.com\/(?:services|workflows)\/|discord(?:app)?\.com\/api\/webhooks\/)[\w/-]+/gi, `$1${masked}`],
  [
    /\b(bearer[ \t]+)(?!(?:token|auth|scheme|realm|error|credential|header|of|is|was|not)[a-z]*\b)[\w.~+/=-]+/gi,
    `$1${masked}`
  ],
  [shapes, masked]
]

const assignment = /(?<![\w.-])([A-Za-z_-][\w.-]{0,127})([ \t]?=[ \t]?)("[^"]*"|'[^']*'|["']?(?!=)[^\s&;"']+)/g
const member = /(["'])([\w ./-]{1,128})\1(\s*:\s*)("(?:[^"\\]|\\[^])*"|'(?:[^'\\]|\\[^])*'|-?\d[\w.+-]*)/g
const yamlLine = /^([ \t]*(?:-[ \t]+)?)([\w.-]{1,128})(:[ \t]+)(?![[{|>&*!])(\S.*)$/gm

const isSigned = (name: string): boolean => /(?:^|[-_])(?:sig|signature)$/i.test(name)

/** What gives itself away, masked in place. */
const maskShapes = (text: string): string => {
  if (text.length < 6) return text
  let result = text
  for (const [pattern, replacement] of patterns) result = result.replaceAll(pattern, replacement)
  return result
    .replaceAll(
      assignment,
      (all, name: string, equals: string, value: string) =>
        (isCredential(name) || isSigned(name)) && !isNoSecret(value) ? `${name}${equals}${masked}` : all
    )
    .replaceAll(
      member,
      (all, quote: string, name: string, colon: string, value: string) =>
        isCredential(name) && !isNoSecret(value.replaceAll(/^["']|["']$/g, ""))
          ? `${quote}${name}${quote}${colon}${quote}${masked}${quote}`
          : all
    )
    .replaceAll(
      yamlLine,
      (all, indent: string, name: string, colon: string, value: string) =>
        isCredential(name) && !isNoSecret(value) ? `${indent}${name}${colon}${masked}` : all
    )
}

/** Below this a value is found in too many places that are something else. */
const shortestValue = 6

const passwordInUrl = /:\/\/[^\s/?#@:]*:([^\s/?#]+)@/

/** The values to look for, the longest first: one may be part of another. */
const secretValues = (environment: Environment): ReadonlyArray<string> => {
  const values = new Set<string>()
  const add = (value: string): void => {
    const trimmed = value.trim()
    if (trimmed.length < shortestValue || isNoSecret(trimmed)) return
    const wellFormed = trimmed.toWellFormed()
    for (const form of [trimmed, encodeURIComponent(wellFormed), JSON.stringify(trimmed).slice(1, -1)]) values.add(form)
  }
  for (const [name, value] of Object.entries(environment)) {
    if (value === undefined) continue
    if (isCredential(name)) add(value)
    const password = passwordInUrl.exec(value)?.[1]
    if (password !== undefined) add(password)
  }
  return [...values].sort((a, b) => b.length - a.length)
}

/**
 * Masks texts of a process: what {@link maskText} does, prepared once for many.
 *
 * @category masking
 * @since 0.1.0
 */
export const masker = (environment: Environment = {}): (text: string) => string => {
  const values = secretValues(environment)
  return (text) => {
    let result = text
    for (const value of values) result = result.replaceAll(value, () => masked)
    return maskShapes(result)
  }
}

/**
 * Masks a text: the values of environment variables that hold credentials, wherever they occur (those of 6 characters
 * and more, also as they stand in a URL or in JSON), and what looks like a credential in itself.
 *
 * @example
 * ```ts
 * import { Secrets } from "ezpz-stream"
 *
 * assert.strictEqual(
 *   Secrets.maskText("401 for key abcdef12 at https://me:pw@host/", { WANDB_API_KEY: "abcdef12" }),
 *   "401 for key *** at https://me:***@host/"
 * )
 * ```
 *
 * @category masking
 * @since 0.1.0
 */
export const maskText = (text: string, environment: Environment = {}): string => masker(environment)(text)

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

const maxDepth = 64

/**
 * A copy of a config without its credentials: plain objects, arrays, numbers, strings, booleans and null, as JSON has
 * them. Values under keys that name a credential become `***` whole; strings are masked as {@link maskText} does.
 *
 * Maps become objects, sets and typed arrays arrays, what has a `toJSON` (dates) what that gives, big integers and
 * functions text. An object inside itself becomes `"[circular]"`; what is nested deeper than 64 levels is left out.
 *
 * @example
 * ```ts
 * import { Secrets } from "ezpz-stream"
 *
 * assert.deepStrictEqual(Secrets.mask({ lr: 1e-4, wandb: { api_key: "abc", tokenizer: "gpt2" } }), {
 *   lr: 1e-4,
 *   wandb: { api_key: "***", tokenizer: "gpt2" }
 * })
 * ```
 *
 * @category masking
 * @since 0.1.0
 */
export function mask(
  config: { readonly [key: string]: unknown },
  environment?: Environment
): { readonly [key: string]: unknown }
export function mask(value: unknown, environment?: Environment): unknown
export function mask(value: unknown, environment: Environment = {}): unknown {
  const text = masker(environment)
  const inside = new Set<object>()
  const copies = new Map<object, unknown>()

  const copy = (value: unknown, depth: number): unknown => {
    if (typeof value === "string") return text(value)
    if (typeof value === "bigint" || typeof value === "symbol") return String(value)
    if (typeof value === "function") return `[function ${value.name}]`
    if (typeof value !== "object" || value === null) return value
    if (inside.has(value)) return "[circular]"
    if (depth > maxDepth) return "[nested too deep]"
    // What is shared is copied once: otherwise a few objects that share one another could fill the memory.
    if (copies.has(value)) return copies.get(value)
    inside.add(value)
    const result = copyObject(value, depth + 1)
    inside.delete(value)
    copies.set(value, result)
    return result
  }

  const copyObject = (value: object, depth: number): unknown => {
    if ("toJSON" in value && typeof value.toJSON === "function") return copy(value.toJSON(), depth)
    if (Array.isArray(value) || value instanceof Set) return Array.from(value, (item) => copy(item, depth))
    if (ArrayBuffer.isView(value)) return Object.values(value).map((item) => copy(item, depth))
    const entries = value instanceof Map
      ? Array.from(value, ([key, item]): [string, unknown] => [String(key), item])
      : Object.entries(value)
    // `{ name: "API_KEY", value: "..." }`, as containers have it.
    const named = "name" in value && typeof value.name === "string" && isCredential(value.name)
    return Object.fromEntries(entries.map(([key, item]) => {
      const secret = isCredential(key) || (named && key === "value")
      return [maskShapes(key), secret && !isNoSecret(item) ? masked : copy(item, depth)]
    }))
  }

  return copy(value, 0)
}

// -----------------------------------------------------------------------------
// Command lines
// -----------------------------------------------------------------------------

const isFlag = (argument: string): boolean => /^--?[A-Za-z]/.test(argument) && !/[\s=:]/.test(argument)
const isNegated = (flag: string): boolean => /^--?(?:no|skip|disable|without|ask|prompt)-/.test(flag)

/**
 * A command line without its credentials: `--api-key X`, `--token=X`, `KEY=X`, and what {@link maskText} finds.
 *
 * @example
 * ```ts
 * import { Secrets } from "ezpz-stream"
 *
 * assert.deepStrictEqual(
 *   Secrets.maskArguments(["--api-key", "abc", "--hf-token=abc", "wandb.api_key=abc", "--tokenizer", "gpt2"]),
 *   ["--api-key", "***", "--hf-token=***", "wandb.api_key=***", "--tokenizer", "gpt2"]
 * )
 * ```
 *
 * @category masking
 * @since 0.1.0
 */
export const maskArguments = (
  argv: ReadonlyArray<string>,
  environment: Environment = {}
): ReadonlyArray<string> => {
  const text = masker(environment)
  return argv.map((argument, i) => {
    const flag = argv[i - 1]
    if (
      flag !== undefined && isFlag(flag) && isCredential(flag) && !isNegated(flag) &&
      !argument.startsWith("--") && !/^-[A-Za-z]$/.test(argument)
    ) return maskNamed(argument)
    const [, name, value] = /^([^\s=]+)=([^]*)$/.exec(argument) ?? []
    return name !== undefined && value !== undefined && isCredential(name)
      ? `${name}=${maskNamed(value)}`
      : text(argument)
  })
}
