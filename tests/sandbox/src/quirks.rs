//! The ways in which one account's API differs from another's. Each default is what is documented
//! or known for sure.

mod lists;

use std::ops::RangeInclusive;
use std::time::Duration;

pub use lists::*;

/// Switches of the whole API; see `ReportQuirks` and `MetricQuirks` for those parts.
#[derive(Clone, Debug)]
pub struct Quirks {
    /// Guessed: the answer to a page after the last one.
    pub past_end: PastEnd,
    /// Seen live: groups and channels come with `pagination` and `links`, or without.
    pub lists_envelope: bool,
    /// Guessed: groups and channels answer the whole list, whatever page was asked for.
    pub lists_ignore_page: bool,
    /// Guessed, 50 or 100: the cap of `items_per_page` but for messages, which have their own.
    pub max_items_per_page: usize,
    /// Seen live: the account stands under `configuration`. Documented: it does not.
    pub wrapped_account: bool,
    pub conversation_fields: FieldsAnswer,
    pub outbound_to: OutboundTo,
    pub conversation_properties: PropertiesShape,
    /// Seen live: conversations carry `user_id`, `created_time`, `updated_time`, `created_by`,
    /// `url`, …, or no more than what is documented.
    pub conversation_times: bool,
    /// Documented: `updated_from` leaves out its own instant. Guessed: it takes it in.
    pub updated_from: Edge,
    pub date_header: DateHeader,
    /// guessed: a 429 for the spent hour has no header of the limit.
    pub bare_429: bool,
    pub reset_header: ResetHeader,
    pub retry_after: RetryAfter,
    pub error_style: ErrorStyle,
    /// Seen live for some: endpoint templates that answer 403.
    pub forbidden: Vec<String>,
    /// guessed: endpoint templates of a feature that the account lacks, and the status that they
    /// answer with.
    pub lacking: Vec<(String, u16)>,
    /// Guessed: users and others with values that the document rules out; at the start.
    pub odd_records: OddRecords,
    /// Seen live now and then: records carry the fields that a commercial connector lists; at the
    /// start.
    pub connector_fields: bool,
    /// Seen live: records carry the fields that recordings, webhooks and clients show and the
    /// document lacks; messages of a resolution or reopening lack `message_type`, and system
    /// messages their actor; at the start.
    pub live_fields: bool,
    /// Guessed: every other record of an answer, the first one among them, has fields that no
    /// document names. What the account holds stays as it is.
    pub new_fields: bool,
    /// Guessed: the endpoint template that answers 302 to the storage's origin, under the name
    /// `localhost`.
    pub redirect: Option<String>,
    /// Guessed: error messages repeat the `Authorization` header that was received.
    pub token_echo: bool,
    /// Seen live: so many conversations are listed by users and reports, and answer 404; at the
    /// start.
    pub deleted_conversations: usize,
    /// Guessed: so many conversations are listed under two users; at the start.
    pub shared_conversations: usize,
    /// Documented that pages end at 50: conversations have 0, 1, 49, 50, 51 and 100 messages in
    /// turn; at the start.
    pub message_counts_cycle: bool,
    /// Guessed: how long after its own time a change is listed: an edit (until then the old
    /// version is), a new user, conversation or message. Each has its own wait out of this range.
    /// The sandbox makes a change when it is listed, and dates it back.
    pub list_lag: RangeInclusive<Duration>,
    pub users_order: UsersOrder,
    /// Guessed: the order of users is turned round.
    pub users_descending: bool,
    pub sort_parameters: SortParameters,
    pub envelopes: Envelopes,
    pub user_conversations: ConversationLists,
    pub messages: MessageQuirks,
    pub conversation_updated: ConversationUpdated,
    /// Seen live: conversations name their user, or don't; with `conversation_times` alone.
    pub conversation_user_id: bool,
    /// Guessed: the last so many users were created in one instant; at the start.
    pub bulk_import: usize,
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
            live_fields: false,
            new_fields: false,
            redirect: None,
            token_echo: false,
            deleted_conversations: 0,
            shared_conversations: 0,
            message_counts_cycle: false,
            list_lag: Duration::ZERO..=Duration::ZERO,
            users_order: UsersOrder::Filtered,
            users_descending: false,
            sort_parameters: SortParameters::Obeyed,
            envelopes: Envelopes::default(),
            user_conversations: ConversationLists::Whole,
            messages: MessageQuirks::default(),
            conversation_updated: ConversationUpdated::EveryChange,
            conversation_user_id: true,
            bulk_import: 0,
            reports: ReportQuirks::default(),
            metrics: MetricQuirks::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PastEnd {
    /// Guessed: 200 with no records.
    Empty,
    /// Guessed: 400 `WRONG_PAGE`.
    WrongPage,
    /// Guessed: the last page again.
    RepeatLast,
    /// Guessed: 404 `page not found`.
    PageNotFound,
    /// Guessed: 400 that says nothing of a page.
    BadRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldsAnswer {
    /// Documented.
    Available,
    /// Seen live on accounts that are no part of the suite.
    Forbidden,
    /// Seen live, as `Forbidden`.
    NotFound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundTo {
    /// Documented by the example of the list.
    Object,
    /// Documented by the object's description.
    Array,
    /// Guessed: the one and the other in turn.
    Mixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertiesShape {
    /// Documented.
    Object,
    /// Seen live: `[{"name", "value"}]`.
    Array,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Documented: "a time after the parameter value".
    After,
    /// Guessed.
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
    /// Guessed.
    None,
    /// Documented: `X-RateLimitReset`, the seconds left.
    RateLimitResetSeconds,
    /// Seen live: `X-RateLimit-Reset`, the seconds left.
    DashedSeconds,
    /// Seen live: `X-RateLimit-Reset`, Unix time in seconds.
    DashedUnixTime,
    /// guessed: `X-RateLimit-Reset` with this value, whenever the hour ends
    Fixed(i64),
}

/// The header of a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Seen live; the document knows no such header.
    None,
    /// Seen live.
    Seconds,
    /// Guessed: the standard allows it.
    HttpDate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorStyle {
    /// Documented: `{"code", "status", "message"}`.
    Documented,
    /// Seen live: `{"success": false, "error_code", "error_message"}`.
    SuccessFalse,
    /// Seen live: text without any JSON.
    PlainText,
}

/// Guessed: every 20th user has each of the switched-on oddities.
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
    /// seen live (a minute): The least time between two POSTs: sooner is a 429 and a violation.
    pub post_interval: Duration,
    /// documented that it takes a while: How long a job stays pending.
    pub generation_time: Duration,
    /// documented (an hour): After it, the storage answers 403 to a link; a GET of the job makes fresh ones.
    pub link_lifetime: Duration,
    /// documented: Links per job; the window is cut into this many.
    pub parts: usize,
    /// guessed (about 120 a day): Jobs per event, from the start of the sandbox; past it a 429 and a violation.
    pub daily_budget: Option<u32>,
    /// documented (`Short` in the table, `Long` in the example): How a link names its dates.
    pub date_keys: DateKeys,
    /// documented (`Completed`), guessed (`Success`): What a finished link's status says.
    pub link_done: LinkDone,
    /// documented (`Pending`), guessed (`InProgress`): The status of a job, and of its links, that
    /// is not done.
    pub pending_status: PendingStatus,
    /// guessed: A pending job lists its links, which become ready one after the other.
    pub links_while_pending: bool,
    /// seen live: What stands between the two dates of `interval`.
    pub interval_joint: Joint,
    /// seen live (`Zip`), guessed (the rest): What a link leads to.
    pub container: Container,
    /// seen live: CSV members in each zip.
    pub zip_members: usize,
    /// guessed: Each zip also holds a directory and a member that is no CSV.
    pub junk_member: bool,
    /// guessed: How a report without rows looks.
    pub empty: EmptyStyle,
    /// guessed: A byte order mark before each header.
    pub bom: bool,
    /// guessed: Lines end in CR LF.
    pub crlf: bool,
    /// seen live: The misspellings that are known of: `abel_sub_category_name`, `Agent_Status`,
    /// `agent_status in seconds`, `conversation_url` for `conv_url`,
    /// `lastresponse_timestamp_millis`.
    pub misspelt_columns: bool,
    /// documented (`Documented`), guessed (the rest): How columns are written.
    pub header_style: HeaderStyle,
    /// guessed: Two columns that no document names.
    pub extra_columns: bool,
    /// guessed: Each file lacks the column `channel_name`, or else `agent_name`, or else `channel`.
    pub missing_column: bool,
    /// guessed: The first row of each file ends two cells early.
    pub short_row: bool,
    /// seen live: How times are written.
    pub times: TimeStyle,
    /// seen live (`Lower`), guessed (the rest): How booleans are written.
    pub booleans: BooleanStyle,
    /// guessed: About one row in eight stands there twice.
    pub duplicate_rows: bool,
    /// documented: The first so many jobs end as FAILED.
    pub failed_jobs: u64,
    /// documented: Then so many jobs have one link that is FAILED.
    pub failed_parts: u64,
    /// guessed: Then so many jobs are never done.
    pub endless_jobs: u64,
    /// guessed: Then so many jobs are not known when asked for.
    pub forgotten_jobs: u64,
    /// guessed: The answers to the first so many POSTs are lost: the job is made, the connection closes.
    pub lost_posts: u64,
    /// guessed: The first so many downloads break off half-way.
    pub cut_downloads: u64,
    /// guessed: Then so many downloads have a wrong CRC (zip only).
    pub bad_crc_downloads: u64,
    /// seen live: Events that this account does not know by just this name.
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
    /// The same, with the `rel` `extracts` of the answer to the POST.
    SingleExtracts,
    /// `links`, whose items have no status.
    NoStatus,
    /// `links`, each item of which stands there twice.
    Twice,
    /// `links`, with two items of its own for each part.
    Overlapping,
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
    /// guessed: 400 to more intervals than this in one request.
    pub most_intervals: Option<usize>,
    /// guessed: some values are `""` or `null`.
    pub odd_values: bool,
    /// guessed: some values are numbers beyond a float.
    pub huge_values: bool,
    /// documented (in the example): intervals in which nothing happened are left out.
    pub sparse: bool,
    /// guessed: without a grouping, `groupings` holds one whose value is null; else it is empty.
    pub null_grouping: bool,
    pub unfiltered: Unfiltered,
    /// guessed: the most entries of `filter_by`; 400 above it. Zero is no limit.
    pub most_filters: usize,
    /// guessed: 400 to the id of the last agent in `filter_by`, as if deactivated.
    pub refuses_last_agent: bool,
    pub nameless: Nameless,
    pub value_shape: ValueShape,
    /// seen live: the series of a metric with `x_time` has no `start` and no `end`.
    pub timeless_moments: bool,
    /// guessed: these metrics are answered in another way than all others.
    pub odd_metrics: Vec<(String, OddAnswer)>,
}

/// How far back the historical metrics reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricRange {
    /// documented: no limit is named; a public client reads 90 days.
    #[default]
    Unlimited,
    /// guessed: 400 to a start that lies further back.
    Refuse(Duration),
    /// guessed: no intervals that start further back.
    Empty(Duration),
}

/// What a grouped answer holds where `filter_by` names no group or agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfiltered {
    /// documented: "retrieved for all groups", "for all agents configured".
    #[default]
    All,
    /// documented: "If no filter_by value is specified during retrieval, value is null": one
    /// grouping, with the values of the whole account.
    Null,
    /// guessed: no grouping at all.
    Nothing,
    /// guessed: a 400.
    Refused,
}

/// The groupings of what belongs to no group or agent, in grouped answers without `filter_by`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nameless {
    /// documented: there are none.
    #[default]
    Absent,
    /// guessed: one whose value is null.
    Null,
    /// seen live: one whose value is the text `null`.
    Text,
    /// guessed: one of each.
    Both,
}

impl Nameless {
    /// The values of these groupings.
    pub fn values(self) -> &'static [Option<&'static str>] {
        match self {
            Nameless::Absent => &[],
            Nameless::Null => &[None],
            Nameless::Text => &[Some("null")],
            Nameless::Both => &[None, Some("null")],
        }
    }
}

/// How one value of a historical metric looks, but for the parts of a summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValueShape {
    /// documented: `{"key": "<metric>", "value": …}`
    #[default]
    Documented,
    /// seen live (of one metric with `x_time`): `{"key": "count", "value": …}`
    CountKey,
    /// guessed: `{"key": "<metric>", "count": …}`, as instant metrics have it
    CountMember,
}

/// An answer that is not of the documented shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddAnswer {
    /// 200, and no `data`.
    NoData,
    /// `series` is a text.
    TextSeries,
    /// No interval has its `start` and `end`.
    NoTimes,
    /// The first interval of each series has no `start`.
    FirstWithoutStart,
    /// An error of this status.
    Status(u16),
}
