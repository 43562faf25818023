//! The ways in which one account's API differs from another's. Each default is what is documented
//! or known for sure.

use std::time::Duration;

/// Switches of the whole API; see `ReportQuirks` and `MetricQuirks` for those parts.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// The answer to a page after the last one.
    pub past_end: PastEnd,
    /// Whether groups and channels come with `pagination` and `links`.
    pub lists_envelope: bool,
    /// Groups and channels answer the whole list, whatever page was asked for.
    pub lists_ignore_page: bool,
    /// The cap of `items_per_page` but for messages, whose cap is 50.
    pub max_items_per_page: usize,
    /// The account stands under `configuration`.
    pub wrapped_account: bool,
    pub conversation_fields: FieldsAnswer,
    pub outbound_to: OutboundTo,
    pub conversation_properties: PropertiesShape,
    /// Conversations carry `user_id`, `created_time`, `updated_time`, `created_by`, `url`, ….
    pub conversation_times: bool,
    /// Whether `updated_from` takes in its own instant.
    pub updated_from: Edge,
    pub date_header: DateHeader,
    /// guessed: a 429 for the spent hour has no header of the limit.
    pub bare_429: bool,
    pub reset_header: ResetHeader,
    pub retry_after: RetryAfter,
    pub error_style: ErrorStyle,
    /// Endpoint templates that answer 403.
    pub forbidden: Vec<String>,
    /// guessed: endpoint templates of a feature that the account lacks, and the status that they
    /// answer with.
    pub lacking: Vec<(String, u16)>,
    /// Users and others with values that the document rules out; at the start.
    pub odd_records: OddRecords,
    /// Records carry the fields that a commercial connector lists and live answers often lack;
    /// at the start.
    pub connector_fields: bool,
    /// Every other record of an answer, the first one among them, has fields that no document
    /// names. What the account holds stays as it is.
    pub new_fields: bool,
    /// The endpoint template that answers 302 to the storage's origin, under the name
    /// `localhost`.
    pub redirect: Option<String>,
    /// Error messages repeat the `Authorization` header that was received.
    pub token_echo: bool,
    /// So many conversations are listed by users and reports, and answer 404; at the start.
    pub deleted_conversations: usize,
    /// So many conversations are listed under two users; at the start.
    pub shared_conversations: usize,
    /// Conversations have 0, 1, 49, 50, 51 and 100 messages in turn; at the start.
    pub message_counts_cycle: bool,
    pub reports: ReportQuirks,
    pub metrics: MetricQuirks,
}

impl Default for Quirks {
    fn default() -> Quirks {
        Quirks {
            past_end: PastEnd::Empty,
            lists_envelope: false,
            lists_ignore_page: false,
            max_items_per_page: 100,
            wrapped_account: false,
            conversation_fields: FieldsAnswer::Available,
            outbound_to: OutboundTo::Object,
            conversation_properties: PropertiesShape::Object,
            conversation_times: true,
            updated_from: Edge::After,
            date_header: DateHeader::Present,
            bare_429: false,
            reset_header: ResetHeader::RateLimitResetSeconds,
            retry_after: RetryAfter::None,
            error_style: ErrorStyle::Documented,
            forbidden: Vec::new(),
            lacking: Vec::new(),
            odd_records: OddRecords::default(),
            connector_fields: false,
            new_fields: false,
            redirect: None,
            token_echo: false,
            deleted_conversations: 0,
            shared_conversations: 0,
            message_counts_cycle: false,
            reports: ReportQuirks::default(),
            metrics: MetricQuirks::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// 200 with no records.
    Empty,
    /// 400 `WRONG_PAGE`.
    WrongPage,
    /// The last page again.
    RepeatLast,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldsAnswer {
    Available,
    Forbidden,
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundTo {
    /// As in the example of the list.
    Object,
    /// As in the object's description.
    Array,
    /// The one and the other in turn.
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertiesShape {
    Object,
    /// `[{"name", "value"}]`
    Array,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// "a time after the parameter value"
    After,
    Inclusive,
}

/// The header that says when an answer was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateHeader {
    /// documented: RFC 9110 has it in each answer of a server with a clock.
    Present,
    /// guessed
    Absent,
    /// guessed: a cache answers that has had the answer for so long.
    Aged(Duration),
}

/// The header that says when the hour ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetHeader {
    None,
    /// `X-RateLimitReset`: seconds left
    RateLimitResetSeconds,
    /// `X-RateLimit-Reset`: seconds left
    DashedSeconds,
    /// `X-RateLimit-Reset`: Unix time in seconds
    DashedUnixTime,
    /// guessed: `X-RateLimit-Reset` with this value, whenever the hour ends
    Fixed(i64),
}

/// The header of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    None,
    Seconds,
    HttpDate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// `{"code", "status", "message"}`
    Documented,
    /// `{"success": false, "error_code", "error_message"}`
    SuccessFalse,
    /// Text without any JSON.
    PlainText,
}

/// Every 20th user has each of the switched-on oddities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OddRecords {
    /// Properties that no document names: an object, an array, a number.
    pub unknown_properties: bool,
    /// `\u0000` in a string.
    pub nul: bool,
    /// An integer written `5.0`: `agent_capacity` of agents, `skill_id` of conversations.
    pub float_integer: bool,
    /// A number as `phone`, a string as `login_status`.
    pub wrong_type: bool,
    /// `updated_time` with the offset `+05:30`.
    pub offset_timestamp: bool,
    /// `\ud83d` alone in a string.
    pub lone_surrogate: bool,
}

impl OddRecords {
    pub fn all() -> OddRecords {
        OddRecords {
            unknown_properties: true,
            nul: true,
            float_integer: true,
            wrong_type: true,
            offset_timestamp: true,
            lone_surrogate: true,
        }
    }
}

/// Switches of `reports/raw`, its jobs and their files.
#[derive(Clone, Debug)]
pub struct ReportQuirks {
    /// The least time between two POSTs: sooner is a 429 and a violation.
    pub post_interval: Duration,
    /// How long a job stays pending.
    pub generation_time: Duration,
    /// After it, the storage answers 403 to a link; a GET of the job makes fresh ones.
    pub link_lifetime: Duration,
    /// Links per job; the window is cut into this many.
    pub parts: usize,
    /// Jobs per event, from the start of the sandbox; past it a 429 and a violation.
    pub daily_budget: Option<u32>,
    pub date_keys: DateKeys,
    /// What a finished link's status says.
    pub link_done: LinkDone,
    /// The status of a job (and of its links) that is not done.
    pub pending_status: PendingStatus,
    /// A pending job lists its links, which become ready one after the other.
    pub links_while_pending: bool,
    pub interval_joint: Joint,
    pub container: Container,
    /// CSV members in each zip.
    pub zip_members: usize,
    /// Each zip also holds a directory and a member that is no CSV.
    pub junk_member: bool,
    pub empty: EmptyStyle,
    /// A byte order mark before each header.
    pub bom: bool,
    /// Lines end in CR LF.
    pub crlf: bool,
    /// The misspellings that are known of: `abel_sub_category_name`, `Agent_Status`,
    /// `agent_status in seconds`, `conversation_url` for `conv_url`,
    /// `lastresponse_timestamp_millis`.
    pub misspelt_columns: bool,
    pub header_style: HeaderStyle,
    /// Two columns that no document names.
    pub extra_columns: bool,
    /// Each file lacks the column `channel_name`, or else `agent_name`, or else `channel`.
    pub missing_column: bool,
    /// The first row of each file ends two cells early.
    pub short_row: bool,
    pub times: TimeStyle,
    pub booleans: BooleanStyle,
    /// About one row in eight stands there twice.
    pub duplicate_rows: bool,
    /// The first so many jobs end as FAILED.
    pub failed_jobs: u64,
    /// Then so many jobs have one link that is FAILED.
    pub failed_parts: u64,
    /// Then so many jobs are never done.
    pub endless_jobs: u64,
    /// Then so many jobs are not known when asked for.
    pub forgotten_jobs: u64,
    /// The answers to the first so many POSTs are lost: the job is made, the connection closes.
    pub lost_posts: u64,
    /// The first so many downloads break off half-way.
    pub cut_downloads: u64,
    /// Then so many downloads have a wrong CRC (zip only).
    pub bad_crc_downloads: u64,
    /// Events that this account does not know by just this name.
    pub missing_events: Vec<String>,
    /// guessed: The rows as a later extraction has them: names are changed, groups, agents and
    /// channels reassigned, empty columns filled in, durations grown.
    pub rewritten: bool,
    /// guessed: The order of a file's rows; a live Resolution-Label was seen to descend.
    pub row_order: RowOrder,
    /// seen live (`Single`), guessed (the rest): How a finished job names its files.
    pub links: LinksShape,
    /// guessed: The links of so many answers to finished jobs are left out, from the first on.
    pub bare_answers: u64,
    /// guessed: Jobs of more than this many milliseconds have no part for their middle third.
    pub hole_over: Option<i64>,
    /// guessed: So many answers to finished jobs have such a hole, from the first on.
    pub holes: u64,
    /// guessed: So many POSTs are answered with an empty id, from the first on.
    pub empty_ids: u64,
    /// guessed: A finished job says PENDING at the looks behind its first one, so many times.
    pub relapses: u64,
    /// seen live (403), guessed (the rest): What the storage says of an expired link.
    pub expired: Expired,
    /// guessed: Each zip also holds what a Mac adds.
    pub mac_notes: bool,
    /// guessed: The first so many files have a quote that never closes.
    pub open_quotes: u64,
    /// guessed: Message-Sent lists what agents sent, and no message of a user.
    pub agents_messages_only: bool,
}

impl Default for ReportQuirks {
    fn default() -> ReportQuirks {
        ReportQuirks {
            post_interval: Duration::from_millis(2),
            generation_time: Duration::ZERO,
            link_lifetime: Duration::from_secs(3600),
            parts: 1,
            daily_budget: None,
            date_keys: DateKeys::Short,
            link_done: LinkDone::Completed,
            pending_status: PendingStatus::Pending,
            links_while_pending: false,
            interval_joint: Joint::Space,
            container: Container::Zip,
            zip_members: 1,
            junk_member: false,
            empty: EmptyStyle::HeaderOnly,
            bom: false,
            crlf: false,
            misspelt_columns: false,
            header_style: HeaderStyle::Documented,
            extra_columns: false,
            missing_column: false,
            short_row: false,
            times: TimeStyle::Zulu,
            booleans: BooleanStyle::Lower,
            duplicate_rows: false,
            failed_jobs: 0,
            failed_parts: 0,
            endless_jobs: 0,
            forgotten_jobs: 0,
            lost_posts: 0,
            cut_downloads: 0,
            bad_crc_downloads: 0,
            missing_events: Vec::new(),
            rewritten: false,
            row_order: RowOrder::Ascending,
            links: LinksShape::List,
            bare_answers: 0,
            hole_over: None,
            holes: 0,
            empty_ids: 0,
            relapses: 0,
            expired: Expired::Forbidden,
            mac_notes: false,
            open_quotes: 0,
            agents_messages_only: false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOrder {
    Ascending,
    Descending,
    Shuffled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinksShape {
    /// `links: [{link, from, to, status}]`
    List,
    /// `link: {rel, href}` in place of `links`; for jobs of one part.
    Single,
    /// `links`, whose items have no status.
    NoStatus,
}

/// The answer of the storage to an expired link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// 403
    Forbidden,
    /// 400 `ExpiredToken`
    BadToken,
    /// 400 `Request has expired`
    BadRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateKeys {
    /// `from`, `to`
    Short,
    /// `from_date`, `to_date`
    Long,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkDone {
    Completed,
    Success,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingStatus {
    Pending,
    InProgress,
}

/// Between the two dates of `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    Space,
    Underscore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    Zip,
    /// A zip as a streaming writer makes it: sizes and CRC follow the data.
    ZipDescriptors,
    Csv,
}

/// How a report without rows looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyStyle {
    HeaderOnly,
    ZeroByte,
    /// A zip without members; a file without bytes where the container is CSV.
    EmptyZip,
    NoLinks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderStyle {
    /// `channel_name`
    Documented,
    /// `Channel Name`
    Spaces,
    /// `channel-name`
    Dashes,
    /// `CHANNEL_NAME`
    Upper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeStyle {
    /// `2020-01-23T12:04:48.868Z`
    Zulu,
    /// `2020-01-23 12:04:48.8`
    Bare,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BooleanStyle {
    Lower,
    Upper,
    Digits,
}

/// Switches of `metrics/historical` and `metrics/instant`.
#[derive(Clone, Debug, Default)]
pub struct MetricQuirks {
    pub range: MetricRange,
    /// 400 to more intervals than this in one request.
    pub most_intervals: Option<usize>,
    /// Some values are `""` or `null`.
    pub odd_values: bool,
    /// Intervals in which nothing happened are left out, as in the example.
    pub sparse: bool,
    /// Without a grouping, `groupings` holds one whose value is null; else it is empty.
    pub null_grouping: bool,
}

/// How far back the historical metrics reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricRange {
    #[default]
    Unlimited,
    /// 400 to a start that lies further back.
    Refuse(Duration),
    /// No intervals that start further back.
    Empty(Duration),
}
