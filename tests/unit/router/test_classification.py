"""What the classifier makes of complaints, in sentences written for these tests."""

import pytest

from schemas.classification import ClassifierPolicy, Facts
from schemas.codes import Category, CustomerStyle, Demand, Grade, Nature, RiskFlag, Severity, SpecialIdentity
from services.router.classification import classify, vocabulary
from services.router.classifier.model import Opinion
from services.router.classifier.rules import decide


@pytest.mark.parametrize(
    ("text", "matter"),
    [
        ("显示本人签收，可是我根本没有收到包裹", "operation_error.false_signoff"),
        ("It says delivered but I never received my parcel.", "operation_error.false_signoff"),
        ("包裹被别人冒领了，我还没收到", "operation_error.wrong_recipient"),
        ("Someone else signed for my package, it went to a stranger.", "operation_error.wrong_recipient"),
        ("快递弄丢了，到现在没有人管", "loss"),
        ("They lost my parcel.", "loss"),
        ("寄了一个月，网点承认把件弄丢了", "loss"),
        ("一共买了三盒，只收到两盒，少了一盒", "loss.shortage"),
        ("物流太慢了，等了八天才收到", "delay.delivery"),
        ("Still waiting for my package, it is six days late.", "delay.delivery"),
        ("我在家等了一天，快递员却说家里没人，根本没来派送", "delay.delivery"),
        ("They claimed nobody was home, but I was home all day.", "delay.delivery"),
        ("包裹卡在分拨中心五天没动了", "delay.sorting"),
        ("My package has been stuck at the distribution center for six days.", "delay.sorting"),
        ("预约上门取件，三天了还没人来揽收", "delay.pickup"),
        ("不送货上门，让我自己跑五公里去取", "attitude.refusal"),
        ("The driver refused to deliver to my door and told me to pick it up myself.", "attitude.refusal"),
        ("电话都不打，直接扔在小区门口", "operation_error.unauthorised_drop"),
        ("They left my parcel on the porch without knocking.", "operation_error.unauthorised_drop"),
        ("快递员态度恶劣，还骂人", "attitude.rude"),
        ("The driver was rude and yelled at my wife.", "attitude.rude"),
        ("代收点每个包裹收两块钱，乱收费", "price.extra_fee"),
        ("They charged me an extra fee of $15 at pickup.", "price.extra_fee"),
        ("快递打开一看，花瓶全摔碎了", "damage.contents"),
        ("My package arrived smashed and the glass is broken.", "damage.contents"),
        ("包裹被雨淋湿，里面全湿透了", "damage.wet"),
        ("代收货款一直不打给我", "finance.cod"),
        ("丢件之后快递公司拒绝赔偿，只赔运费", "claims.result"),
        ("物流信息一直不更新，单号查不到", "information.tracking"),
        ("用户询问能否更改收货地址", "other.enquiry"),
        ("快递小哥服务特别好，值得表扬，点赞", "other.praise"),
        ("手机用了两天就坏了，屏幕发热，卖家不给退货", "other.unclear"),
    ],
)
def test_names_what_the_carrier_must_act_on_first(text: str, matter: str) -> None:
    """A plain complaint of each kind gets its category and sub-code in both languages."""
    said = classify(text)
    assert f"{said.primary}.{said.sub}" == matter if "." in matter else said.primary == matter


@pytest.mark.parametrize(
    ("text", "not_this"),
    [
        ("收到货了，外包装完好，没有破损", Category.DAMAGE),
        ("The box was not damaged at all, but it came six days late.", Category.DAMAGE),
        ("快递员态度很好，就是裤子质量差", Category.ATTITUDE),
        ("手机反应慢，充电也慢，屏幕还不清晰", Category.DELAY),
        ("没想到苹果这么甜，包装也好看", Category.DELAY),
    ],
)
def test_negated_and_goods_words_are_no_fault_of_the_carrier(text: str, not_this: Category) -> None:
    """What is denied, praised, or said of the goods does not become the carrier's fault."""
    assert classify(text).primary is not not_this


def test_a_fault_of_the_carrier_comes_before_opinions_on_the_goods() -> None:
    """A complaint about goods that also says the delivery was slow is a delay."""
    said = classify("裤子色差严重，尺码也偏小，而且物流超级慢，十天才到")
    assert (said.primary, said.sub, said.carrier_matter) == (Category.DELAY, "delivery", True)


def test_praise_before_but_does_not_hide_the_fault() -> None:
    """What follows "good, but" is the matter."""
    assert classify("东西不错，但是快递员直接挂我电话，态度太差").primary is Category.ATTITUDE


def test_goods_and_merchant_alone_are_no_carrier_matter() -> None:
    """A complaint about the merchant is kept as unclear, and marked as none of the carrier's."""
    said = classify("卖家发错颜色，面料起球，客服不给退款")
    assert (said.primary, said.sub, said.carrier_matter) == (Category.OTHER, "unclear", False)


@pytest.mark.parametrize(
    ("text", "matter"),
    [
        ("用户询问耳机音质差能不能换货，运费由谁出", "other.enquiry"),
        ("在吗；帮我看下这个单能不能晚两天送；好的；谢谢", "other.enquiry"),
        ("包裹发错城市，绕了一大圈，等了六天才到", "delay.transit"),
        ("My parcel has been held at customs for a week and it is late.", "delay.transit"),
        ("买两盒茶，弄丢了一盒，少了一盒", "loss.shortage"),
        ("退货运费太贵，衣服尺码不对，客服不管", "other.unclear"),
        ("这台平板用了两年，屏幕花了，电池也不行", "other.unclear"),
        ("取件还得支付三块钱", "price.extra_fee"),
        ("让我自己去镇上取，说太远不送", "attitude.refusal"),
        ("自提还要付运费，裤子也一般", "price.extra_fee"),
        ("到站三天了还不派送", "delay.delivery"),
        ("本来昨天就该到，订单显示已完成，东西却没送到", "operation_error.false_signoff"),
        ("送得慢不说，花瓶也压碎了", "damage.contents"),
        ("客户反映包裹送错城市，询问什么时候能到", "delay.transit"),
        ("不许当面开箱验货，签了字才给看", "attitude.refusal"),
        ("退货寄给卖家，物流显示签收了，卖家还说没收到，不退款", "other.unclear"),
    ],
)
def test_neighbouring_matters_are_told_apart(text: str, matter: str) -> None:
    """Questions of notes and chats, the cause of a delay, a missing piece and a shop's own fees are recognised."""
    said = classify(text)
    assert f"{said.primary}.{said.sub}" == matter


def test_a_drop_that_the_person_asked_for_is_no_fault() -> None:
    """Left at the gate because they said so is not left there without asking."""
    assert classify("我让他放门卫的，就是衣服颜色发错了").primary is not Category.OPERATION_ERROR


def test_losing_money_is_no_lost_parcel() -> None:
    """A figure of speech does not become a loss."""
    assert classify("No wonder they are losing money, my parcel is a week late.").primary is Category.DELAY


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("物流太慢，等了八天，客服态度也差", {"attitude.rude"}),
        ("说我不在家，可我一直在家等着，根本没来送", {"operation_error", "information.tracking"}),
        ("送得太慢了，打电话一直没人接", {"information.unreachable"}),
        ("卖家发错货，也不给发票", {"finance.invoice"}),
        ("箱子压烂了，里面的杯子全碎了，快递员态度还很恶劣", {"attitude.rude"}),
    ],
)
def test_what_stands_beside_the_first_matter_is_named(text: str, beside: set[str]) -> None:
    """Manners, silence, untrue reasons and missing invoices are named beside what is acted on first."""
    assert beside <= {matter.code for matter in classify(text).secondary}


def test_a_second_matter_is_named_beside_the_first() -> None:
    """A rude courier in a false sign-off is a secondary matter, with words for both."""
    said = classify("显示已签收但是我没收到，打电话过去快递员态度恶劣还骂人")
    assert said.primary is Category.OPERATION_ERROR
    assert "attitude.rude" in {matter.code for matter in said.secondary}
    assert {item.says for item in said.evidence} >= {"operation_error.false_signoff", "attitude.rude"}


@pytest.mark.parametrize(
    ("text", "long"),
    [
        ("快递十天了还没到", True),
        ("快递12天了还没到", True),
        ("半个月过去了，包裹还没送到", True),
        ("两个星期没送到", True),
        ("My parcel is two weeks late.", True),
        ("等了九天还没送到", False),
        ("My parcel is three days late.", False),
        ("11月20日下单，今天还没送到", False),
    ],
)
def test_ten_days_or_more_are_long_running(text: str, long: bool) -> None:  # a table of cases
    """Durations count in digits, Chinese numerals and English words; dates are no durations."""
    assert (RiskFlag.LONG_RUNNING in classify(text).flags) is long


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("我要起诉你们，快递弄丢了不赔", RiskFlag.LEGAL),
        ("记者已经来采访了，代收点乱收费", RiskFlag.MEDIA),
        ("代收点乱收费，请有关部门查处", RiskFlag.REGULATOR),
        ("快递员泄露我的个人信息", RiskFlag.PRIVACY_LEAK),
        ("已经多次投诉，包裹还是没送到", RiskFlag.REPEATED),
        ("包裹在车上着火了，我的快递全烧了", RiskFlag.SAFETY),
        ("村民们都反映代收点乱收费", RiskFlag.COLLECTIVE),
        ("全乡所有快递网点长期以来乱收费", RiskFlag.LONG_RUNNING),
        ("打了十几个电话，客服一遍一遍让我等，还是没送", RiskFlag.REPEATED),
        ("My lawyer will contact you, you lost my parcel.", RiskFlag.LEGAL),
    ],
)
def test_risk_words_raise_their_flag(text: str, flag: RiskFlag) -> None:
    """Legal, media, regulator, privacy, repeats, safety and collective complaints are marked."""
    assert flag in classify(text).flags


def test_facts_outside_the_text_raise_flags_too() -> None:
    """Identity, history and the sum claimed count like words."""
    facts = Facts(
        special_identity=SpecialIdentity.PRESS,
        complaints_before=2,
        days_since_first_complaint=11,
        declared_value=100,
        claimed_value=5_000,
    )
    said = classify("快递慢", facts=facts)
    assert set(said.flags) == {
        RiskFlag.SPECIAL_IDENTITY,
        RiskFlag.REPEATED,
        RiskFlag.LONG_RUNNING,
        RiskFlag.EXORBITANT_CLAIM,
    }
    assert said.needs_review
    assert said.severity > classify("快递慢").severity


def test_a_safety_incident_is_gravest_and_reviewed() -> None:
    """Fire in transit is severity 4 and goes to a human."""
    said = classify("快递车着火，包裹全部烧毁，有人受伤")
    assert (said.severity, said.needs_review, said.nature) == (Severity.CRITICAL, True, Nature.SOCIAL)


def test_the_remedy_sought_decides_the_demand() -> None:
    """What the person asks for counts, wherever it is written."""
    assert Demand.COMPENSATION in classify("快递把花瓶摔碎了", remedy="要求赔偿").demand
    assert classify("送货速度一般").demand == (Demand.NONE,)
    assert Demand.PREVENTION in classify("代收点乱收费，希望有关部门整治").demand


def test_who_has_no_parcel_wants_the_parcel() -> None:
    """A false sign-off asks for the goods and a second charge for an end of it, though neither says so."""
    assert classify("显示已签收，可是我没有收到").demand == (Demand.REPAIR,)
    assert classify("代收点每件收两块钱，乱收费").demand == (Demand.PREVENTION,)


def test_who_was_shouted_at_wants_respect() -> None:
    """An insult asks for an apology; a poor manner alone asks for nothing."""
    assert classify("快递员在电话里破口大骂").demand == (Demand.EMOTIONAL,)
    assert classify("快递员态度一般").demand == (Demand.NONE,)


def test_gravity_grows_with_what_happened() -> None:
    """Slowness is mild, ten days of it less so, and goods in the hands of others graver still."""
    texts = ("物流有点慢", "物流太慢，等了半个月", "我的包裹被人冒领了")
    assert [classify(text).severity for text in texts] == [Severity.LOW, Severity.NORMAL, Severity.HIGH]


def test_the_subject_counts_like_the_text() -> None:
    """A subject line can carry the matter alone."""
    assert classify("请处理", subject="显示签收但没有收到包裹").sub == "false_signoff"


def test_grade_tells_grumble_staff_and_system() -> None:
    """Slowness is a grumble, rudeness a matter of staff, a lost parcel one of the system."""
    grades = [classify(text).grade for text in ("送货有点慢", "快递员态度恶劣骂人", "快递弄丢了我的包裹")]
    assert grades == [Grade.GRUMBLE, Grade.STAFF, Grade.SYSTEM]


def test_style_is_a_hint_of_how_the_person_speaks() -> None:
    """Polite people are social, people with evidence and clauses are analytical."""
    assert classify("麻烦帮我查一下包裹到哪了，谢谢").style is CustomerStyle.SOCIAL
    assert classify("根据规定第一条，附截图为证，包裹延误").style is CustomerStyle.ANALYTICAL


def test_words_that_the_trained_model_opposes_are_less_sure() -> None:
    """Where words and model name different categories the words' answer stands, with half of its lead."""
    scores = {"delay.delivery": 2.8}
    agrees, _ = decide(dict(scores), {}, lambda: Opinion({"delay.delivery": 9, "loss": 1}, 5, 1.0), margin_min=1.5)
    opposes, _ = decide(dict(scores), {}, lambda: Opinion({"delay.delivery": 1, "loss": 9}, 5, 1.0), margin_min=1.5)
    assert (agrees.primary, opposes.primary) == ("delay.delivery", "delay.delivery")
    assert opposes.margin == agrees.margin / 2


def test_undecided_texts_go_to_a_human_with_the_proposal() -> None:
    """A text that says nothing has low confidence and a proposal all the same."""
    said = classify("嗯")
    assert said.needs_review
    assert said.primary is Category.OTHER


def test_review_thresholds_are_policy() -> None:
    """The confidence under which a human looks is a number of the policy."""
    text = "物流太慢了，等了八天才收到"
    assert not classify(text).needs_review
    assert classify(text, policy=ClassifierPolicy(confidence_min=1)).needs_review


def test_evidence_never_repeats_what_the_person_wrote_about_themselves() -> None:
    """Names, numbers and addresses in the text do not come back as evidence."""
    text = "我叫李小明，电话13812345678，住幸福路8号，显示已签收但是没收到，快递员骂人"
    words = {item.word for item in classify(text).evidence}
    assert words
    assert words <= vocabulary().vocabulary
    assert not any("李" in word or "138" in word or "幸福" in word for word in words)


def test_both_ends_of_a_long_text_are_read() -> None:
    """A matter at the very end of a long text is found."""
    filler = "今天天气很普通。" * 2_000
    assert classify(filler + "包裹显示已签收但我没有收到").sub == "false_signoff"
    assert classify("包裹显示已签收但我没有收到。" + filler).sub == "false_signoff"


def test_full_width_and_upper_case_read_alike() -> None:
    """Typing habits change nothing."""
    assert classify("ＭＹ ＰＡＲＣＥＬ ＷＡＳ ＬＯＳＴ").primary is Category.LOSS
    assert classify("MY PARCEL WAS LOST").primary is Category.LOSS
