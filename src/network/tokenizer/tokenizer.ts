/** Turns a text into the numbers of its tokens, as the model's own tokenizer does. */
export interface Tokenizer {
  /** What it is, for people: e.g. `tokenizer.json, BPE` or `GGUF gpt2, pre smollm`. */
  readonly kind: string;
  /** The file it was read from. */
  readonly file: string;
  /** The largest token id plus one. An embedding may lack rows of the last ones if those are added tokens. */
  readonly vocabularySize: number;
  /** The token that begins a text (BOS); undefined if there is none. */
  readonly start: number | undefined;
  /** Whether the model expects `start` in front of a text. `encode` never adds it. */
  readonly addsStart: boolean;
  /**
   * The ids of a text's tokens, without a start or end token. Lone surrogates count as U+FFFD.
   * @throws RankscopeError 'cancelled', or 'malformed' if a pattern of the tokenizer does not come to an end.
   */
  encode(text: string, options?: EncodeOptions): Promise<Int32Array>;
  /**
   * The text of these ids. Bytes that are no UTF-8 become U+FFFD, and ids without a token are left out.
   * @throws RankscopeError 'unsupported' if the file describes a way to text that is not known.
   */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
}

export interface DecodeOptions {
  /** Whether special tokens, such as `</s>`, are written out; they are left out by default. */
  readonly specialTokens?: boolean | undefined;
}

export interface EncodeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called now and then with the share of the text that is done. */
  readonly onProgress?: ((done: number) => void) | undefined;
  /** Whether special tokens that are written out in the text, such as `</s>`, count as such, not as text. */
  readonly specialTokens?: boolean | undefined;
}

/** The model of a tokenizer: the ids of one piece of text, which is encoded by itself. */
export type EncodePiece = (piece: string) => ArrayLike<number>;

/** Where a stretch of text is: whether it begins the whole text, and whether an added token precedes it. */
export interface Place {
  readonly first: boolean;
  readonly afterToken: boolean;
}

/** The stages of a tokenizer, in their order. */
export interface Stages {
  /** Finds the added tokens in a text, before (`normalized` false) and after normalization. */
  splitAdded(text: string, normalized: boolean, specialTokens: boolean): Iterable<string | number>;
  normalize(text: string): string;
  /** Cuts a text into pieces, lazily where it can. */
  cut(text: string, place: Place): Iterable<string>;
  readonly encodePiece: EncodePiece;
}
