// SPDX-License-Identifier: GPL-2.0
/*
 * Page allocator consistency checker: /sys/kernel/mm/page_consistency/, one value
 * per file.  See Documentation/ABI/testing/sysfs-kernel-mm-page-consistency.
 */

#include <linux/array_size.h>
#include <linux/init.h>
#include <linux/kconfig.h>
#include <linux/kobject.h>
#include <linux/kstrtox.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/page_consistency.h>
#include <linux/sysfs.h>
#include <linux/time64.h>

#include "memmap.h"
#include "report.h"
#include "scrub.h"
#include "section.h"

/* Of the last verification. */
static struct pc_verified pc_last;
static DEFINE_MUTEX(pc_last_mutex);

static struct pc_scrubbed pc_scrubbed(void)
{
	struct pc_scrubbed state;

	pc_scrub_state(&state);
	return state;
}

#define PC_ATTR(_name, _mode, _format, _value)						\
static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)	\
{												\
	return sysfs_emit(buf, _format "\n", _value);						\
}												\
static struct kobj_attribute _name##_attr = __ATTR(_name, _mode, _name##_show, NULL)

PC_ATTR(policy, 0444, "%s", pc_policy_name());
PC_ATTR(sections, 0444, "%lu", pc_store.tracked);
PC_ATTR(pages, 0444, "%lu", pc_store.tracked << PC_SECTION_SHIFT);
PC_ATTR(bytes, 0444, "%lu", pc_store.bytes);
PC_ATTR(distance, 0444, "%llu", (unsigned long long)pc_store.distance);
PC_ATTR(safe_order, 0444, "%d", pc_memmap_order);
PC_ATTR(violations, 0444, "%lu", pc_violation_count());
PC_ATTR(verified_sections, 0400, "%lu", pc_last.sections);
PC_ATTR(verified_pages, 0400, "%lu", pc_last.pages);
PC_ATTR(verified_blocks, 0400, "%lu", pc_last.blocks);
PC_ATTR(verified_mismatches, 0400, "%lu", pc_last.mismatches);
PC_ATTR(verified_proofs, 0400, "%u", pc_last.proofs);
PC_ATTR(verified_ns, 0400, "%llu", pc_last.ns);
PC_ATTR(scrub_passes, 0444, "%lu", pc_scrubbed().passes);
PC_ATTR(scrub_incomplete, 0444, "%lu", pc_scrubbed().incomplete);
PC_ATTR(scrub_ns, 0444, "%llu", pc_scrubbed().work_ns);
PC_ATTR(scrub_latency_ms, 0444, "%llu",
	DIV_ROUND_UP_ULL(pc_scrubbed().latency_ns, NSEC_PER_MSEC));

/* Options of the kernel that bear upon what is found, and by whom. */
static const struct {
	const char *name;
	bool set;
} pc_options[] = {
	{ "CONFIG_PAGE_CONSISTENCY_ENFORCED", IS_ENABLED(CONFIG_PAGE_CONSISTENCY_ENFORCED) },
	{ "CONFIG_PAGE_CONSISTENCY_PCP", IS_ENABLED(CONFIG_PAGE_CONSISTENCY_PCP) },
	{ "CONFIG_SPARSEMEM", IS_ENABLED(CONFIG_SPARSEMEM) },
	{ "CONFIG_MEMORY_HOTPLUG", IS_ENABLED(CONFIG_MEMORY_HOTPLUG) },
	{ "CONFIG_MEMORY_FAILURE", IS_ENABLED(CONFIG_MEMORY_FAILURE) },
	{ "CONFIG_STRICT_KERNEL_RWX", IS_ENABLED(CONFIG_STRICT_KERNEL_RWX) },
	{ "CONFIG_STACKTRACE", IS_ENABLED(CONFIG_STACKTRACE) },
	{ "CONFIG_KALLSYMS", IS_ENABLED(CONFIG_KALLSYMS) },
	{ "CONFIG_LIST_HARDENED", IS_ENABLED(CONFIG_LIST_HARDENED) },
	{ "CONFIG_PAGE_OWNER", IS_ENABLED(CONFIG_PAGE_OWNER) },
	{ "CONFIG_LKDTM", IS_ENABLED(CONFIG_LKDTM) },
};

/*
 * For a monitor or a safety case: everything that was decided, in one place, as it is in
 * force.  A second value in a file of sysfs is against its rules; that the whole can be
 * read at once, and compared with what it was, is the point of this one.
 */
static ssize_t configuration_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	int i, len = 0;

	len += sysfs_emit_at(buf, len, "record_version %d\n", PC_RECORD_VERSION);
	len += sysfs_emit_at(buf, len, "policy %s\n", pc_policy_name());
	len += sysfs_emit_at(buf, len, "remote %d\n", pc_remote);
	len += sysfs_emit_at(buf, len, "section_pages %lu\n", PC_SECTION_PAGES);
	len += sysfs_emit_at(buf, len, "scrub_ms %u\n", pc_scrub_period());
	len += sysfs_emit_at(buf, len, "max_latency_ms %u\n", pc_max_latency());
	len += sysfs_emit_at(buf, len, "self_test_detectors %u\n", pc_tested);
	len += sysfs_emit_at(buf, len, "self_test_ns %llu\n", pc_tested_ns);
	len += sysfs_emit_at(buf, len, "proofs %d\n", PC_PROOFS);
	for (i = 0; i < ARRAY_SIZE(pc_options); i++)
		len += sysfs_emit_at(buf, len, "%s %d\n", pc_options[i].name, pc_options[i].set);
	return len;
}

static struct kobj_attribute configuration_attr = __ATTR_RO(configuration);

static ssize_t verify_store(struct kobject *kobj, struct kobj_attribute *attr,
			    const char *buf, size_t count)
{
	struct pc_verified result;
	bool start;
	int error;

	error = kstrtobool(buf, &start);
	if (error)
		return error;
	if (!start)
		return -EINVAL;

	error = pc_verify(&result);
	guard(mutex)(&pc_last_mutex);
	pc_last = result;
	return error ?: count;
}

static struct kobj_attribute verify_attr = __ATTR_WO(verify);

static struct attribute *pc_attrs[] = {
	&policy_attr.attr,
	&sections_attr.attr,
	&pages_attr.attr,
	&bytes_attr.attr,
	&distance_attr.attr,
	&safe_order_attr.attr,
	&violations_attr.attr,
	&verify_attr.attr,
	&verified_sections_attr.attr,
	&verified_pages_attr.attr,
	&verified_blocks_attr.attr,
	&verified_mismatches_attr.attr,
	&verified_proofs_attr.attr,
	&verified_ns_attr.attr,
	&scrub_passes_attr.attr,
	&scrub_incomplete_attr.attr,
	&scrub_ns_attr.attr,
	&scrub_latency_ms_attr.attr,
	&configuration_attr.attr,
	NULL
};

/* A kernel in which it is off says so, and nothing else. */
static umode_t pc_visible(struct kobject *kobj, struct attribute *attr, int index)
{
	return page_consistency_on() || attr == &policy_attr.attr ? attr->mode : 0;
}

static const struct attribute_group pc_group = {
	.name = "page_consistency",
	.attrs = pc_attrs,
	.is_visible = pc_visible,
};

static int __init pc_sysfs_init(void)
{
	int error = sysfs_create_group(mm_kobj, &pc_group);
	struct kernfs_node *folder;

	if (error || !page_consistency_on())
		return error;
	folder = sysfs_get_dirent(mm_kobj->sd, pc_group.name);
	pc_report_watch(sysfs_get_dirent(folder, violations_attr.attr.name));
	sysfs_put(folder);
	return 0;
}
late_initcall(pc_sysfs_init);
